"""`up`, `down` and `status`: the local stack in the background.

`up` starts a supervisor process in a session of its own, which owns the parts. It holds a
lock on `.local/supervisor.lock` as long as it lives, so a supervisor that was killed is
never taken for a running one. What a crash left behind is found by an environment
variable that every child carries.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import IO

import psutil
from rich.console import Console
from rich.table import Table

from gpu_worker.weights import weights_path
from local_stack.progress import ConsoleProgress, Event, PipeProgress, read_events
from local_stack.service import PART_VARIABLE, LocalStackError
from local_stack.settings import ROOT, LocalSettings, write_private
from local_stack.signals import deferred_signals
from local_stack.stack import LocalStack, PartReport

log = logging.getLogger(__name__)

_READY = "ready"
_STOP_SECONDS = 90.0
_STATUS_SECONDS = 1.0


class Stopped(BaseException):
    """A signal asked the supervisor to stop."""


def up(settings: LocalSettings, environ: Mapping[str, str]) -> int:
    """Start the stack in the background; return the exit code once it is ready."""
    console = Console()
    started = time.monotonic()
    with _open_lock(settings.state_dir) as lock:
        if not _try_lock(lock):
            state = "already up" if _status_file(settings).exists() else "being started or stopped"
            console.print(f"The local stack is {state}: {settings.url} (make down stops it).")
            return 0
        _clean_up(settings)
        settings.require_free_ports()
        _rotate_logs(settings)
        supervisor, reading = _spawn_supervisor(settings, environ, lock)
    try:
        with os.fdopen(reading) as stream, ConsoleProgress(console) as show:
            ready = False
            for event in read_events(stream):
                ready = ready or event.step == _READY
                show(event)
    except BaseException:
        with deferred_signals():
            console.print("Stopping what was started ...")
            supervisor.terminate()
            supervisor.wait()
        raise
    if not ready:
        supervisor.wait()
        console.print(f"The local stack did not start; see {settings.log_dir}.")
        return 1
    console.print(
        f"The local stack is up after {time.monotonic() - started:.0f} s: {settings.url}\n"
        f"source {settings.state_dir / 'env'} sets FACES_URL, FACES_API_KEY and AWS_*; "
        "make down stops it.",
        highlight=False,
        soft_wrap=True,
    )
    weights = weights_path(environ)
    if not weights.is_file():
        console.print(
            f"[yellow]No weights at {weights}:[/] the first worker downloads them (107 MB); "
            "without a network, put the file there, or no photo is answered.",
            highlight=False,
            soft_wrap=True,
        )
    return 0


def down(settings: LocalSettings) -> int:
    """Stop the stack, also what a killed supervisor left; return the exit code."""
    console = Console()
    with _open_lock(settings.state_dir) as lock:
        was_up = not _try_lock(lock)
        if was_up:
            _signal_holder(settings.state_dir, signal.SIGTERM)
            if not _try_lock(lock, _STOP_SECONDS):
                console.print("The supervisor does not end; killing it.")
                _signal_holder(settings.state_dir, signal.SIGKILL)
                _try_lock(lock, _STOP_SECONDS)
        left = _clean_up(settings)
    if left:
        console.print(f"Ended {left} processes that a crash had left.")
    console.print("The local stack is down." if was_up or left else "The local stack was not up.")
    return 0


def status(settings: LocalSettings) -> int:
    """Print the parts; return 0 when the stack is up, 3 when it is not."""
    console = Console()
    with _open_lock(settings.state_dir) as lock:
        if _try_lock(lock):
            console.print("The local stack is not up (make up starts it).")
            return 3
    try:
        report = json.loads(_status_file(settings).read_text())
    except (OSError, ValueError):
        report = {"state": "starting", "parts": []}
    table = Table(title=f"Local stack: {report['state']}, {settings.url}", title_justify="left")
    for heading in ("part", "state", "pid", "port", "restarts"):
        table.add_column(heading)
    for part in report["parts"]:
        cells = (part["name"], part["state"], part["pid"], part["port"], part["restarts"])
        table.add_row(*("" if cell is None else str(cell) for cell in cells))
    console.print(table)
    return 0


def supervise(settings: LocalSettings, progress_descriptor: int, lock_descriptor: int) -> int:
    """Own the parts until a signal comes: what `up` starts in the background.

    Parameters
    ----------
    progress_descriptor : the pipe that takes the progress until everything is ready.
    lock_descriptor : the lock's file, locked; held until this process ends.
    """
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for descriptor in (progress_descriptor, lock_descriptor):
        os.set_inheritable(descriptor, False)
    stream = os.fdopen(progress_descriptor, "w")
    progress = _logged(PipeProgress(stream))
    try:
        _stop_on_signals()
        with LocalStack(settings, progress) as stack:
            progress(Event(_READY, "done"))
            stream.close()
            _report_until_stopped(settings, stack)
    except Stopped:
        log.info("stopped")
    except LocalStackError as error:
        log.error("%s", error)
        return 1
    finally:
        _status_file(settings).unlink(missing_ok=True)
    return 0


def _spawn_supervisor(
    settings: LocalSettings, environ: Mapping[str, str], lock: IO[str]
) -> "tuple[subprocess.Popen[bytes], int]":
    """Start the supervisor, which inherits the lock; return it and its progress pipe."""
    reading, writing = os.pipe()
    inherited = [writing, lock.fileno()]
    with (settings.log_dir / "supervisor.log").open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "local_stack", "supervise", *map(str, inherited)],
            cwd=ROOT,
            env={**environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=inherited,
            start_new_session=True,
        )
    os.close(writing)
    lock.truncate(0)
    lock.write(str(supervisor.pid))
    lock.flush()
    return supervisor, reading


def _report_until_stopped(settings: LocalSettings, stack: LocalStack) -> None:
    before: list[PartReport] | None = None
    while True:
        parts = stack.parts()
        if parts != before:
            report = {"state": "up", "parts": [asdict(part) for part in parts]}
            write_private(_status_file(settings), json.dumps(report))
            before = parts
        time.sleep(_STATUS_SECONDS)


def _logged(progress: PipeProgress) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if event.state != "started":
            log.info("%s: %s %.1f s %s", event.step, event.state, event.seconds, event.detail)
        progress(event)

    return tell


def _stop_on_signals() -> None:
    """Raise `Stopped` in the main thread at the first SIGTERM or SIGINT; ignore more."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _open_lock(state_dir: Path) -> IO[str]:
    state_dir.mkdir(parents=True, exist_ok=True)
    return (state_dir / "supervisor.lock").open("a+")


def _try_lock(lock: IO[str], seconds: float = 0.5) -> bool:
    """Take the lock; a supervisor holds it as long as it lives, others for a moment."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _signal_holder(state_dir: Path, number: int) -> None:
    """Send a signal to the supervisor that holds the lock."""
    text = (state_dir / "supervisor.lock").read_text()
    if text.isdecimal():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(text), number)


def _clean_up(settings: LocalSettings) -> int:
    """End processes that a crash left, remove files about them; return how many it ended."""
    left = [process for process in psutil.process_iter() if _belongs(process, settings.log_dir)]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)
    for path in (_status_file(settings), settings.state_dir / "env"):
        path.unlink(missing_ok=True)
    return len(left)


def _belongs(process: psutil.Process, log_dir: Path) -> bool:
    try:
        part = process.environ().get(PART_VARIABLE)
    except (psutil.Error, OSError):
        return False
    return part is not None and Path(part).parent == log_dir.resolve()


def _rotate_logs(settings: LocalSettings) -> None:
    """Keep the logs of the run before; start with an empty folder."""
    previous = settings.state_dir / "logs.previous"
    shutil.rmtree(previous, ignore_errors=True)
    if settings.log_dir.exists():
        settings.log_dir.rename(previous)
    settings.log_dir.mkdir(parents=True)


def _status_file(settings: LocalSettings) -> Path:
    return settings.state_dir / "status.json"
