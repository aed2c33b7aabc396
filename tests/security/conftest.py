"""Two tenants on a real database, with one of everything for each."""

from collections.abc import Iterator

import pytest

from chalice_app import dependencies
from faces.gallery.audit import AuditLog
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from faces.gallery.keys import KeyStore
from faces.gallery.transfer import Transfer
from tests.security.tenants import NoOperations, Tenant, World
from tests.unit.chalice_app.fakes import FakeContext


@pytest.fixture
def world(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = FakeContext()
    connections = KeptConnection(database_url)
    made.gallery = Gallery(connections, made.clock)
    made.keys = KeyStore(connections, made.clock)
    made.audit = AuditLog(connections)
    made.transfer = Transfer(connections, made.clock)
    made.operations = NoOperations()
    monkeypatch.setattr(dependencies, "context", lambda: made)
    yield World(made, Tenant.make(made, "victim", 1), Tenant.make(made, "attacker", 2))
    connections.close()
