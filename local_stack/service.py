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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_PR_SET_PDEATHSIG = 1


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


@dataclass
class ChildProcess:
    """A `Service` around one command.

    Parameters
    ----------
    argv, env, cwd : the command; `env` is the whole environment.
    log : file that gets its output.
    ready : returns True once the part answers; asked every 50 ms for `ready_seconds`.
    stop_signal, stop_seconds : how it is asked to end, and how long it may take.
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
    user: str | None = None
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """Exit code, or None while it runs or when it never did."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                list(self.argv),
                env=dict(self.env),
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self.user,
                # Signals typed at the terminal go to the supervisor, which stops in order.
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid()),
            )
        deadline = time.monotonic() + self.ready_seconds
        while not self.ready():
            if self._process.poll() is not None:
                raise LocalStackError(
                    f"The {self.name} ended at its start (exit code {self._process.returncode}); "
                    f"its last words are in {self.log}."
                )
            if time.monotonic() > deadline:
                self.stop()
                raise LocalStackError(
                    f"The {self.name} did not answer within {self.ready_seconds:.0f} s; "
                    f"see {self.log}."
                )
            time.sleep(0.05)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self.stop_signal)
            try:
                process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                # What it started itself (it leads a session of its own) goes with it.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
