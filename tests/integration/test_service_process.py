"""Child processes: their start and end, and what a crash of the parent leaves."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local_stack.service import (
    PART_VARIABLE,
    ChildProcess,
    LocalStackError,
    answers,
    require_free_port,
)
from local_stack.settings import ROOT, free_ports

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., ChildProcess]]:
    made: list[ChildProcess] = []

    def child(code: str, **options: object) -> ChildProcess:
        process = ChildProcess(
            name="part",
            argv=[sys.executable, "-c", code],
            env=dict(os.environ),
            log=tmp_path / "logs" / "part.log",
            **options,  # type: ignore[arg-type]
        )
        made.append(process)
        return process

    yield child
    for process in made:
        process.stop()


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_it_runs_until_it_is_stopped(make: Callable[..., ChildProcess], tmp_path: Path) -> None:
    child = make(f"import os; print('hello', os.environ['{PART_VARIABLE}'], flush=True); {SLEEP}")
    assert not child.alive()
    child.start()
    assert child.alive()
    assert child.returncode is None
    log = tmp_path / "logs" / "part.log"
    wait_until(lambda: "hello" in log.read_text())
    assert str(log) in log.read_text()
    child.stop()
    child.stop()
    assert not child.alive()
    assert child.returncode == -signal.SIGTERM


def test_a_start_that_is_broken_off_leaves_nothing_running(
    make: Callable[..., ChildProcess],
) -> None:
    def ctrl_c() -> bool:
        raise KeyboardInterrupt

    child = make(SLEEP, ready=ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        child.start()
    assert child.pid is not None
    assert not child.alive()


def test_its_exit_code_is_known(make: Callable[..., ChildProcess]) -> None:
    child = make("raise SystemExit(3)")
    child.start()
    wait_until(lambda: not child.alive())
    assert child.returncode == 3
    child.stop()
    assert child.returncode == 3


def test_it_can_be_started_again(make: Callable[..., ChildProcess]) -> None:
    child = make(SLEEP)
    child.start()
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not child.alive())
    child.start()
    assert child.alive()
    assert child.pid != first


def test_a_start_that_ends_at_once_names_the_log(make: Callable[..., ChildProcess]) -> None:
    child = make("raise SystemExit(7)", ready=lambda: False)
    with pytest.raises(LocalStackError, match=r"exit code 7.*part\.log"):
        child.start()


def test_a_start_that_never_answers_is_given_up(make: Callable[..., ChildProcess]) -> None:
    child = make(SLEEP, ready=lambda: False, ready_seconds=0.2)
    with pytest.raises(LocalStackError, match="did not answer within"):
        child.start()
    assert not child.alive()


def test_what_ignores_the_signal_is_killed_with_its_children(
    make: Callable[..., ChildProcess], tmp_path: Path
) -> None:
    code = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"grandchild = subprocess.Popen([sys.executable, '-c', '{SLEEP}'])\n"
        "print(grandchild.pid, flush=True)\n"
        f"{SLEEP}"
    )
    child = make(code, stop_seconds=0.3)
    child.start()
    log = tmp_path / "logs" / "part.log"
    wait_until(lambda: log.read_text().endswith("\n"))
    grandchild = int(log.read_text())
    child.stop()
    assert child.returncode == -signal.SIGKILL
    wait_until(lambda: gone(grandchild))


def test_children_of_one_that_died_by_itself_go_when_it_is_stopped(
    make: Callable[..., ChildProcess], tmp_path: Path
) -> None:
    code = (
        "import subprocess, sys\n"
        f"print(subprocess.Popen([sys.executable, '-c', '{SLEEP}']).pid, flush=True)"
    )
    child = make(code)
    child.start()
    wait_until(lambda: not child.alive())
    grandchild = int((tmp_path / "logs" / "part.log").read_text())
    assert not gone(grandchild)
    child.stop()
    wait_until(lambda: gone(grandchild))


def test_a_killed_parent_takes_its_children_with_it_though_a_thread_started_them(
    tmp_path: Path,
) -> None:
    """The thread ends at once; the child must live on, and die with the process."""
    log = tmp_path / "part.log"
    code = (
        "import os, sys, threading, time\n"
        "from pathlib import Path\n"
        "from local_stack.service import ChildProcess\n"
        f"child = ChildProcess('part', [sys.executable, '-c', '{SLEEP}'], dict(os.environ), "
        f"Path({str(log)!r}))\n"
        "thread = threading.Thread(target=child.start)\n"
        "thread.start()\n"
        "thread.join()\n"
        "time.sleep(0.5)\n"  # time in which a wrong child would die with its thread
        "print(child.pid if child.alive() else 'dead', flush=True)\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not gone(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: gone(child))


def test_a_port_in_use_is_told_from_a_free_one() -> None:
    port = free_ports(1)[0]
    require_free_port(port, "thing", "THING_PORT")
    assert not answers(f"http://127.0.0.1:{port}/")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(LocalStackError, match=rf"Port {port} for the thing .*THING_PORT="):
            require_free_port(port, "thing", "THING_PORT")
