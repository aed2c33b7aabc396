"""The user of Lambdas and workers, and the function that makes it, on a real PostgreSQL."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from chalice_app import migrate
from faces import iam_login
from faces.contracts.settings import DatabaseSettings
from faces.gallery.database import connect
from faces.gallery.migrations import all_migrations
from local_stack.postgres import PostgresService

DATABASE, USER, MASTER = "roles_test", "faces_app", "faces_master"
TOKEN = "host:1/?Action=connect&DBUser=faces_app&X-Amz-Signature=ab%2Fc"


class FakeSecrets:
    """Holds the master's login."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get_secret_value(self, *, SecretId: str) -> Any:  # noqa: N803
        self.asked.append(SecretId)
        return {"SecretString": json.dumps({"username": MASTER, "password": "a/secret"})}


@pytest.fixture
def database(postgres_server: PostgresService) -> Iterator[str]:
    """A new database of a server on which the role `rds_iam` exists, as on RDS."""
    port = urlsplit(postgres_server.url).port
    with connect(postgres_server.admin_url) as master:
        master.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        master.execute("CREATE ROLE rds_iam")
        master.execute(f"CREATE ROLE {MASTER} LOGIN SUPERUSER PASSWORD 'a/secret'")
    yield f"postgresql+iam://{USER}@127.0.0.1:{port}/{DATABASE}"
    with connect(postgres_server.admin_url) as master:
        master.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(DATABASE)))
        master.execute(f"DROP ROLE IF EXISTS {USER}")
        master.execute(f"DROP ROLE rds_iam, {MASTER}")


def test_the_first_deployment_makes_user_and_schema_and_the_second_nothing(
    database: str, postgres_server: PostgresService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PostgreSQL itself knows no tokens: here the user's password is one.
    monkeypatch.setattr(iam_login, "signed", lambda *_: TOKEN)
    settings = DatabaseSettings.load({"DATABASE_URL": database})
    secrets = FakeSecrets()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        migrate.run(settings, "arn:secret", lambda: secrets)
    with connect(postgres_server.admin_url) as master:
        master.execute(f"ALTER ROLE {USER} PASSWORD '{TOKEN}'")
    names = [each.name for each in all_migrations()]
    assert migrate.run(settings, "arn:secret", lambda: secrets) == {"applied": names}
    assert migrate.run(settings, "arn:secret", lambda: secrets) == {"applied": []}
    assert secrets.asked == ["arn:secret"], "only for a user that cannot log in yet"
    with connect(database) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (USER,)
        granted = connection.execute("SELECT pg_has_role(%s, 'rds_iam', 'member')", [USER])
        assert granted.fetchone() == (True,)
        connection.execute("SELECT count(*) FROM people")
        owner = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [USER])
        assert owner.fetchone() == (False,)
