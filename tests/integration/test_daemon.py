"""`up`, `down` and `status` around locks, leftovers and ports; starting is tested in e2e."""

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local_stack import daemon
from local_stack.__main__ import shield
from local_stack.service import PART_VARIABLE, LocalStackError
from local_stack.settings import ROOT, LocalSettings

SLEEP = "import time; time.sleep(600)"
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    made = LocalSettings.ephemeral(tmp_path / "state", {})
    made.log_dir.mkdir(parents=True)
    return made


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start Python programs; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, **environ: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def hold_lock(spawn: Spawn, settings: LocalSettings, *, deaf: bool) -> "subprocess.Popen[str]":
    """Start a process that holds the supervisor's lock, and wait until it does."""
    lock = settings.state_dir / "supervisor.lock"
    process = spawn(
        "import fcntl, os, signal, time\n"
        f"{'signal.signal(signal.SIGTERM, signal.SIG_IGN)' if deaf else ''}\n"
        f"file = open({str(lock)!r}, 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "file.write(str(os.getpid()))\n"
        "file.flush()\n"
        "print('locked', flush=True)\n"
        f"{SLEEP}"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_what_a_crash_left_is_ended_and_nothing_else(
    settings: LocalSettings, spawn: Spawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = spawn(SLEEP, **{PART_VARIABLE: str(settings.log_dir / "emulator.log")})
    foreign = spawn(SLEEP, **{PART_VARIABLE: str(tmp_path / "other" / "logs" / "emulator.log")})
    unmarked = spawn(SLEEP)
    for name in ("env", "status.json"):
        (settings.state_dir / name).write_text("{}")
    wait_for_environment(ours)
    assert daemon.down(settings) == 0
    assert "Ended 1 processes" in capsys.readouterr().out
    assert not psutil.pid_exists(ours.pid)
    assert foreign.poll() is None
    assert unmarked.poll() is None
    assert not (settings.state_dir / "env").exists()
    assert not (settings.state_dir / "status.json").exists()


def test_up_alone_ends_what_a_crash_left(
    settings: LocalSettings, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody needs to say `down` first, though what was left holds a port."""
    left = spawn(
        "import socket, time\n"
        f"held = socket.create_server(('127.0.0.1', {settings.front_door_port}))\n"
        "print('listens', flush=True)\n"
        f"{SLEEP}",
        **{PART_VARIABLE: str(settings.log_dir / "emulator.log")},
    )
    assert left.stdout is not None
    assert left.stdout.readline() == "listens\n"

    def spawned(*_: object) -> None:
        raise LocalStackError("everything before the start is done")

    monkeypatch.setattr(daemon, "_spawn_supervisor", spawned)
    with pytest.raises(LocalStackError, match="before the start"):
        daemon.up(settings, os.environ)
    assert not psutil.pid_exists(left.pid)


def wait_for_environment(process: "subprocess.Popen[str]") -> None:
    """Wait until the process runs its own program and not yet a copy of this one."""
    deadline = time.monotonic() + 10
    while PART_VARIABLE not in Path(f"/proc/{process.pid}/environ").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_down_without_a_stack_says_so(
    settings: LocalSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert daemon.down(settings) == 0
    assert "was not up" in capsys.readouterr().out


def test_status_without_a_stack_is_3(settings: LocalSettings) -> None:
    assert daemon.status(settings) == 3


def test_a_lock_file_without_a_supervisor_means_nothing(settings: LocalSettings) -> None:
    (settings.state_dir / "supervisor.lock").write_text(str(os.getpid()))
    assert daemon.status(settings) == 3
    assert daemon.down(settings) == 0


@pytest.mark.parametrize(("report", "said"), [(True, "already up"), (False, "being started")])
def test_a_second_up_starts_nothing(
    settings: LocalSettings,
    spawn: Spawn,
    capsys: pytest.CaptureFixture[str],
    report: bool,
    said: str,
) -> None:
    holder = hold_lock(spawn, settings, deaf=False)
    if report:
        (settings.state_dir / "status.json").write_text("{}")
    assert daemon.up(settings, os.environ) == 0
    assert said in capsys.readouterr().out
    assert holder.poll() is None
    assert list(settings.log_dir.iterdir()) == []


def test_down_asks_the_supervisor_to_end(settings: LocalSettings, spawn: Spawn) -> None:
    holder = hold_lock(spawn, settings, deaf=False)
    assert daemon.down(settings) == 0
    assert holder.wait(10) == -15


def test_a_supervisor_that_does_not_end_is_killed(
    settings: LocalSettings, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "_STOP_SECONDS", 0.3)
    holder = hold_lock(spawn, settings, deaf=True)
    assert daemon.down(settings) == 0
    assert holder.wait(10) == -9


def test_up_on_a_taken_port_names_it_and_lets_the_lock_go(settings: LocalSettings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.front_door_port))
        taken.listen()
        with pytest.raises(LocalStackError, match="FRONT_DOOR_PORT="):
            daemon.up(settings, os.environ)
    with (settings.state_dir / "supervisor.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_start_that_fails_is_told_and_leaves_nothing(
    settings: LocalSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The database that DATABASE_URL names is not there."""
    environ = {
        **os.environ,
        "DATABASE_URL": f"postgresql://u@127.0.0.1:{settings.postgres_port}/d",
        "LOCAL_STATE_DIR": str(settings.state_dir),
        **{
            field.alias: str(getattr(settings, name))
            for name, field in LocalSettings.model_fields.items()
            if name.endswith("_port") and field.alias
        },
    }
    (settings.log_dir / "old.log").write_text("of the run before")
    assert daemon.up(settings, environ) == 1
    said = capsys.readouterr().out
    assert "DATABASE_URL" in said
    assert "did not start" in said
    assert (settings.state_dir / "logs.previous" / "old.log").exists()
    assert daemon.status(settings) == 3
    settings.require_free_ports()


def test_a_wrong_setting_is_an_error_of_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local_stack", "status"],
        env={**os.environ, "EMULATOR_PORT": "x", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "EMULATOR_PORT" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_account_and_the_proxies_of_the_shell_stay_outside() -> None:
    environ = {"AWS_PROFILE": "prod", "AWS_REGION": "eu-west-1", "NO_PROXY": "a.b", "PATH": "/bin"}
    shield(environ)
    assert environ == {
        "PATH": "/bin",
        "NO_PROXY": "a.b,127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
