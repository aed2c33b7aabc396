"""The schema comes into being once, whoever asks for it and how often."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from faces.gallery.database import KeptConnection, connect
from faces.gallery.gallery import Gallery
from faces.gallery.migrations import Migration, MigrationError, all_migrations, migrate


def test_numbers_start_at_one_and_leave_no_gap() -> None:
    versions = [migration.version for migration in all_migrations()]
    assert versions == list(range(1, len(versions) + 1))


def test_a_second_run_does_nothing(empty_database_url: str) -> None:
    with connect(empty_database_url) as connection:
        assert migrate(connection) == [migration.name for migration in all_migrations()]
        assert migrate(connection) == []


def test_many_at_once_apply_each_once(empty_database_url: str) -> None:
    def run(_: int) -> list[str]:
        with connect(empty_database_url) as connection:
            return migrate(connection)

    with ThreadPoolExecutor(6) as pool:
        done = [name for names in pool.map(run, range(6)) for name in names]
    assert done == [migration.name for migration in all_migrations()]


def test_an_edited_file_is_noticed(empty_database_url: str) -> None:
    first = Migration(1, "0001_a.sql", "CREATE TABLE a ()")
    edited = Migration(1, "0001_a.sql", "CREATE TABLE a (b int)")
    with connect(empty_database_url) as connection:
        migrate(connection, [first])
        with pytest.raises(MigrationError, match=r"0001_a\.sql was edited"):
            migrate(connection, [edited])


def test_all_or_nothing(empty_database_url: str) -> None:
    good = Migration(1, "0001_good.sql", "CREATE TABLE good ()")
    bad = Migration(2, "0002_bad.sql", "CREATE TABLE bad (no_such_type no_such_type)")
    with connect(empty_database_url) as connection:
        with pytest.raises(Exception, match="no_such_type"):
            migrate(connection, [good, bad])
        assert migrate(connection, [good]) == ["0001_good.sql"]


def test_an_older_version_lives_with_a_newer_schema(empty_database_url: str) -> None:
    first = Migration(1, "0001_a.sql", "CREATE TABLE a ()")
    second = Migration(2, "0002_b.sql", "CREATE TABLE b ()")
    with connect(empty_database_url) as connection:
        migrate(connection, [first, second])
        assert migrate(connection, [first]) == []


def test_the_command(empty_database_url: str) -> None:
    def run(command: str, url: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "faces.gallery", command],
            env={**os.environ, "DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )

    first = run("migrate", empty_database_url)
    names = ", ".join(migration.name for migration in all_migrations())
    assert (first.returncode, first.stdout) == (0, f"applied {names}\n")
    assert run("migrate", empty_database_url).stdout == "the schema is up to date\n"
    assert run("purge", empty_database_url).stdout.startswith("deleted 0 unknown faces")
    without = run("migrate", "")
    assert without.returncode == 1
    assert "DATABASE_URL" in without.stderr
    away = run("migrate", "postgresql://faces:secret@127.0.0.1:1/faces")
    assert away.returncode == 1
    assert "cannot be reached" in away.stderr
    assert "Traceback" not in away.stderr
    assert "secret" not in away.stderr


def test_the_default_collection_is_there(database_url: str) -> None:
    connections = KeptConnection(database_url)
    assert Gallery(connections).list_people("default", "default").people == ()
    connections.close()
