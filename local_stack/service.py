"""A part of the local stack that runs as a process of its own.

Each service is started by one supervisor process and dies with it: the child asks the
kernel for a signal when its parent ends (`PR_SET_PDEATHSIG`, prctl(2)), so a supervisor
that is killed leaves nothing running.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_PR_SET_PDEATHSIG = 1
# Set in every child, and inherited by what a child starts: finds what a crash left behind.
PART_VARIABLE = "LOCAL_STACK_PART"
# The kernel's signal comes when the *thread* that started a child ends (prctl(2)), so one
# thread that lives as long as the process starts them all.
_SPAWNER = ThreadPoolExecutor(1, thread_name_prefix="spawner")


class LocalStackError(Exception):
    """The local stack cannot start or stop; the message says what to do."""


class Service(Protocol):
    """What the supervisor needs of a part."""

    @property
    def name(self) -> str: ...

    def start(self) -> None:
        """Start and wait until the part answers; raise LocalStackError when it does not."""

    def alive(self) -> bool:
        """Whether the process still runs."""

    def stop(self) -> None:
        """Stop in order, then by force; harmless when it does not run."""


def die_with_parent(parent: int) -> Callable[[], None]:
    """Return a `preexec_fn` that has the child killed when process `parent` ends (Linux)."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def ask_kernel() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return ask_kernel


def require_free_port(port: int, what: str, setting: str) -> None:
    """Raise LocalStackError, naming port and setting, when 127.0.0.1:`port` is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise LocalStackError(
                f"Port {port} for the {what} is in use; end the program that holds it, "
                f"or choose another with {setting}=<port>."
            ) from None


def answers(url: str) -> bool:
    """Whether an HTTP server answers at `url` within a second, with whatever status."""
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - addresses of our own
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@dataclass
class ChildProcess:
    """A `Service` around one command.

    Parameters
    ----------
    argv, env, cwd : the command; `env` is the whole environment.
    log : file that gets its output.
    ready : returns True once the part answers; asked every 50 ms for `ready_seconds`.
    stop_signal, stop_seconds : how it is asked to end, and how long it may take.
    account : user id and group id that it runs under, where the caller is root.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    ready: Callable[[], bool] = lambda: True
    cwd: Path | None = None
    ready_seconds: float = 30
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 10
    account: tuple[int, int] | None = None
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """Exit code (-n after signal n), or None while it runs or when it never did."""
        process = self._process
        if process is None:
            return None
        if process.returncode is not None:
            return process.returncode
        # Not reaped before `stop`: until then its process group's id cannot become another's.
        try:
            ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return process.poll()
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def start(self) -> None:
        self.stop()
        try:
            _SPAWNER.submit(self._spawn).result()
            self._wait_until_ready()
        except BaseException:  # Ctrl-C too: nobody else knows of the child yet
            self.stop()
            raise

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.ready_seconds
        while not self.ready():
            if not self.alive():
                raise LocalStackError(
                    f"The {self.name} ended at its start (exit code {self.returncode}); "
                    f"its last words are in {self.log}."
                )
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"The {self.name} did not answer within {self.ready_seconds:.0f} s; "
                    f"see {self.log}."
                )
            time.sleep(0.05)

    def _spawn(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                list(self.argv),
                env={**self.env, PART_VARIABLE: str(self.log.resolve())},
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self.account[0] if self.account else None,
                group=self.account[1] if self.account else None,
                extra_groups=[] if self.account else None,
                # Signals typed at the terminal go to the supervisor, which stops in order.
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid()),
            )

    def alive(self) -> bool:
        return self._process is not None and self.returncode is None

    def ask_to_stop(self) -> None:
        """Send the stop signal and return at once."""
        process = self._process
        if process is not None and self.alive():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.stop_signal)

    def stop(self) -> None:
        # A start that is under way in another thread comes first, so nothing slips through.
        _SPAWNER.submit(lambda: None).result()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self.ask_to_stop()
        deadline = time.monotonic() + self.stop_seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def kill(self) -> None:
        """End it at once, with everything that it started (it leads a session of its own)."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
