"""Schema migrations: numbered SQL files, each applied once, in order.

A file that was applied anywhere is never edited; a change is a new file.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import psycopg

from faces.gallery.database import Connection

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK = "SELECT pg_advisory_xact_lock(1181639525, 2)"
_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version int PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class MigrationError(Exception):
    """The schema cannot be brought up to date; the message says why."""


@dataclass(frozen=True)
class Migration:
    """One numbered file; `checksum` is the SHA-256 of its text, in hex."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def all_migrations() -> list[Migration]:
    """Return the migrations of this version of the code, in order."""
    found = [
        Migration(int(match[1]), file.name, file.read_text("utf-8"))
        for file in files(__name__).iterdir()
        if (match := _FILE_NAME.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.version)


def migrate(connection: Connection, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Apply what is missing and return its names; all of it or, on an error, nothing.

    Several processes may do it at once: one works, the others wait and find nothing to
    do. Migrations that are applied but unknown here, from a newer version of the code,
    are left alone, so that a deployment can be taken back.

    Parameters
    ----------
    connection : in autocommit mode.
    migrations : `all_migrations()` when left out.

    Raises
    ------
    MigrationError
        When an applied file was edited since, or the database refuses a statement.
    """
    wanted = all_migrations() if migrations is None else migrations
    done = []
    with connection.transaction():
        connection.execute(_LOCK)
        connection.execute(_TABLE)
        rows = connection.execute("SELECT version, checksum FROM schema_migrations").fetchall()
        applied: dict[int, str] = dict(rows)
        for migration in wanted:
            if migration.version not in applied:
                _apply(connection, migration)
                done.append(migration.name)
            elif applied[migration.version] != migration.checksum:
                raise MigrationError(
                    f"{migration.name} was edited after it had been applied to this database; "
                    "put the old text back and make the change in a new file."
                )
    return done


def _apply(connection: Connection, migration: Migration) -> None:
    try:
        connection.execute(migration.sql)
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"{migration.name}: {error.diag.message_primary}. Where the extension `vector` is "
            "missing, let an administrator run CREATE EXTENSION vector in this database."
        ) from error
    except psycopg.errors.FeatureNotSupported as error:
        raise MigrationError(f"{migration.name}: this PostgreSQL has no pgvector.") from error
    connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
        [migration.version, migration.name, migration.checksum],
    )
