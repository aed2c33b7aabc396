"""Bring the database that DATABASE_URL names up to date, or tidy it.

python -m faces.gallery migrate
python -m faces.gallery purge
python -m faces.gallery index
"""

import argparse
import os
import sys
from collections.abc import Callable

import psycopg

from faces.contracts.errors import TransientError
from faces.contracts.settings import DatabaseSettings, SettingsError
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery, utc_now
from faces.gallery.migrations import MigrationError, migrate


def _migrate(connections: KeptConnection) -> str:
    with connections() as connection:
        done = migrate(connection)
    return f"applied {', '.join(done)}" if done else "the schema is up to date"


def _purge(connections: KeptConnection) -> str:
    purged = Gallery(connections).purge_expired(utc_now())
    return f"deleted {purged.unmatched_faces} unknown faces, {purged.changes} rows of the feed"


def _index(connections: KeptConnection) -> str:
    # Only here: it needs numpy, which Lambdas do not have.
    from faces.gallery.approximate import index_collections

    with connections() as connection:
        made = index_collections(connection)
    return f"made {', '.join(made)}" if made else "no collection needs another index"


_COMMANDS: dict[str, Callable[[KeptConnection], str]] = {
    "migrate": _migrate,
    "purge": _purge,
    "index": _index,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m faces.gallery", description=__doc__)
    parser.add_argument("command", choices=sorted(_COMMANDS))
    command = _COMMANDS[parser.parse_args().command]
    try:
        connections = KeptConnection(DatabaseSettings.load(os.environ).database_url)
        sys.stdout.write(command(connections) + "\n")
        connections.close()
    except TransientError as error:
        sys.exit(f"The database cannot be reached: {error.__cause__}")
    except (SettingsError, MigrationError, psycopg.Error) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
