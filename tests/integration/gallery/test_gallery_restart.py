"""The database goes away and comes back; the gallery goes on as if nothing had been."""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from faces.contracts.errors import TransientError
from faces.gallery.database import KeptConnection, connect
from faces.gallery.gallery import Gallery
from faces.gallery.migrations import migrate
from faces.gallery.records import NewPerson
from local_stack.postgres import PostgresService
from local_stack.settings import free_ports
from tests.fixtures.gallery import HERE, MODEL, enroll, vector


@pytest.fixture
def server() -> Iterator[PostgresService]:
    """A server of the test's own, to be treated badly."""
    folder = Path(tempfile.mkdtemp(prefix="faces-tests-", dir="/tmp"))
    folder.chmod(0o711)
    made = PostgresService(free_ports(1)[0], folder / "postgres", folder / "log", "secret")
    made.start()
    with connect(made.url) as connection:
        migrate(connection)
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def connections(server: PostgresService) -> Iterator[KeptConnection]:
    made = KeptConnection(server.url)
    yield made
    made.close()


def kill(server: PostgresService) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server.stop()


def test_every_answered_enrolment_survives_kill_9(
    server: PostgresService, connections: KeptConnection
) -> None:
    gallery = Gallery(connections)
    position = gallery.load(MODEL).position
    answered: list[str] = []

    def enroll_until_it_fails() -> None:
        own = KeptConnection(server.url)
        try:
            for number in range(10_000):
                made = enroll(Gallery(own), NewPerson(name=f"n{number}"), vector(number))
                answered.append(made.face_id)
                if number == 20:
                    busy.set()
        except TransientError:
            return
        finally:
            own.close()
            busy.set()

    busy = threading.Event()
    writer = threading.Thread(target=enroll_until_it_fails)
    writer.start()
    assert busy.wait(60)
    kill(server)
    writer.join(60)
    assert len(answered) > 20
    with pytest.raises(TransientError):
        gallery.load(MODEL)

    server.start()

    # At most the one enrolment that was never answered is there beside them.
    changes = gallery.changes_since(position, MODEL)
    assert changes is not None
    kept = {face.face_id for face in changes.faces}
    assert kept >= set(answered)
    assert len(kept) - len(answered) <= 1
    assert changes.position >= len(answered)
    after = enroll(gallery, NewPerson(name="after"), vector(1))
    later = gallery.changes_since(changes.position, MODEL)
    assert later is not None
    assert [face.face_id for face in later.faces] == [after.face_id]


def test_a_session_that_the_server_ended_is_replaced_unseen(
    server: PostgresService, connections: KeptConnection
) -> None:
    gallery = Gallery(connections)
    enroll(gallery, NewPerson(name="Ada"), vector(1))
    server.stop()
    server.start()
    assert [person.name for person in gallery.list_people(**HERE).people] == ["Ada"]


def test_a_session_that_ends_in_mid_transaction_is_a_transient_error(
    server: PostgresService, connections: KeptConnection
) -> None:
    def half() -> None:
        with connections() as connection, connection.transaction():
            connection.execute("INSERT INTO tenants (tenant) VALUES ('half')")
            kill(server)
            connection.execute("SELECT 1")

    with pytest.raises(TransientError):
        half()
    server.start()
    with connections() as connection:
        assert not connection.execute("SELECT FROM tenants WHERE tenant = 'half'").rowcount


def test_threads_share_a_kept_connection_by_turns(
    server: PostgresService, connections: KeptConnection
) -> None:
    inside = 0

    def use() -> None:
        nonlocal inside
        for _ in range(20):
            with connections() as connection:
                inside += 1
                most.append(inside)
                connection.execute("SELECT 1")
                inside -= 1

    most: list[int] = []
    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert set(most) == {1}
