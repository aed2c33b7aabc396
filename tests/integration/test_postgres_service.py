"""The embedded PostgreSQL: starts, survives what happens to it, leaves nothing running."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from local_stack.postgres import PostgresService
from local_stack.service import LocalStackError
from local_stack.settings import free_ports

REPOSITORY = Path(__file__).resolve().parents[2]
SUPERVISOR = """
import sys, time
from pathlib import Path
from local_stack.postgres import PostgresService
folder = Path(sys.argv[1])
service = PostgresService(int(sys.argv[2]), folder / "postgres", folder / "log", "secret")
service.start()
print(service.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other accounts may enter, as a project's usually is."""
    made = Path(tempfile.mkdtemp(prefix="faces-tests-", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def service(folder: Path) -> Iterator[PostgresService]:
    made = make(folder)
    yield made
    made.stop()


def make(folder: Path, password: str = "secret", port: int = 0) -> PostgresService:
    port = port or free_ports(1)[0]
    return PostgresService(port, folder / "postgres", folder / "log", password)


def remember(service: PostgresService, text: str) -> None:
    with psycopg.connect(service.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (text text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [text])


def remembered(service: PostgresService) -> list[str]:
    with psycopg.connect(service.url) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM kept ORDER BY text")]


def processes(folder: Path) -> list[psutil.Process]:
    """Every process whose working directory is the cluster of `folder`."""
    data = str((folder / "postgres" / "cluster" / "data").resolve())
    return [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == data]


def test_is_closed_to_others_and_safe_for_data(service: PostgresService) -> None:
    service.start()

    with psycopg.connect(service.url) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
        }
        superuser = connection.execute("SHOW is_superuser").fetchone()
    assert shown == dict.fromkeys(shown, "on")
    assert superuser == ("off",)

    assert service.pid is not None
    server = psutil.Process(service.pid)
    listening = [each for each in server.net_connections("all") if each.status == "LISTEN"]
    assert {each.laddr[0] for each in listening} == {"127.0.0.1"}
    assert not [each for each in server.net_connections("unix") if each.laddr]
    assert 0 not in server.uids()
    assert 0 not in server.gids()

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(service.url.replace(":secret@", ":guess@"))


def test_keeps_its_rows_over_a_stop(service: PostgresService, folder: Path) -> None:
    service.start()
    remember(service, "kept")
    service.stop()
    assert not service.alive()
    assert not processes(folder)

    service.start()

    assert service.alive()
    assert remembered(service) == ["kept"]


def test_a_stop_does_not_wait_for_open_sessions(service: PostgresService) -> None:
    service.start()
    with psycopg.connect(service.url) as connection:
        connection.execute("CREATE TABLE unfinished ()")
        service.stop()
        assert not service.alive()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_recovers_from_kill_9_at_once(service: PostgresService) -> None:
    service.start()
    remember(service, "committed before the kill")
    assert service.pid is not None
    os.kill(service.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while service.alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)

    service.start()

    assert remembered(service) == ["committed before the kill"]


def test_does_not_believe_a_stale_pid_file(service: PostgresService, folder: Path) -> None:
    service.start()
    data = folder / "postgres" / "cluster" / "data"
    pid_file = (data / "postmaster.pid").read_text()
    service.stop()
    # The PID went to a program of the same account meanwhile.
    owner = data.stat()
    drop = {"user": owner.st_uid, "group": owner.st_gid} if os.getuid() == 0 else {}
    other = subprocess.Popen(["sleep", "300"], **drop)  # type: ignore[call-overload]
    try:
        first, rest = pid_file.split("\n", 1)
        assert first.isdigit()
        (data / "postmaster.pid").write_text(f"{other.pid}\n{rest}")
        os.chown(data / "postmaster.pid", owner.st_uid, owner.st_gid)

        service.start()

        assert service.alive()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_dies_with_its_supervisor(folder: Path) -> None:
    (port,) = free_ports(1)
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder), str(port)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert supervisor.stdout is not None
    postmaster = psutil.Process(int(supervisor.stdout.readline()))
    successor = make(folder, port=port)
    remember(successor, "committed before the crash")
    everything = processes(folder)
    assert postmaster in everything

    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()

    _, alive = psutil.wait_procs(everything, timeout=10)
    assert not alive
    try:
        successor.start()
        assert remembered(successor) == ["committed before the crash"]
    finally:
        successor.stop()


def test_takes_a_new_password(folder: Path, service: PostgresService) -> None:
    service.start()
    service.stop()
    changed = make(folder, password="another")
    try:
        changed.start()
        with psycopg.connect(changed.url):
            pass
    finally:
        changed.stop()


def test_starts_after_a_broken_off_first_start(folder: Path, service: PostgresService) -> None:
    service.start()
    service.stop()
    cluster = folder / "postgres" / "cluster"
    (cluster / "data").rename(cluster / "unfinished")
    shutil.rmtree(cluster / "unfinished" / "global")

    service.start()

    assert service.alive()


def test_says_which_setting_moves_a_taken_port(folder: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(LocalStackError, match="POSTGRES_PORT"):
            make(folder, port=holder.getsockname()[1]).start()


def test_says_when_the_cluster_is_of_another_version(
    folder: Path, service: PostgresService
) -> None:
    service.start()
    service.stop()
    (folder / "postgres" / "cluster" / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(LocalStackError, match="made by PostgreSQL 17"):
        service.start()


@pytest.mark.skipif(os.getuid() != 0, reason="only root's server changes its account")
def test_root_can_keep_it_in_a_closed_home(folder: Path) -> None:
    folder.chmod(0o700)
    service = make(folder)
    try:
        service.start()
        remember(service, "kept")
        service.stop()
        service.start()
        assert remembered(service) == ["kept"]
    finally:
        service.stop()
        shutil.rmtree((folder / "postgres" / "cluster").resolve())
