"""The local stack's commands as a user gives them, on free ports in a folder of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from local_stack.settings import ROOT, LocalSettings


@dataclass
class Commands:
    """Runs `python -m local_stack <command>`."""

    settings: LocalSettings
    environ: dict[str, str]

    @classmethod
    def on_free_ports(cls, state_dir: Path, environ: dict[str, str]) -> "Commands":
        settings = LocalSettings.ephemeral(state_dir, environ)
        ports = {
            field.alias: str(getattr(settings, key))
            for key, field in LocalSettings.model_fields.items()
            if key.endswith("_port") and field.alias
        }
        given = {**environ, **ports, "LOCAL_STATE_DIR": str(state_dir), "PYTHONPATH": str(ROOT)}
        return cls(settings, given)

    def run(self, command: str, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "local_stack", command],
            env=self.environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    @property
    def ports(self) -> list[int]:
        fields = LocalSettings.model_fields
        return [getattr(self.settings, key) for key in fields if key.endswith("_port")]

    def pids(self) -> dict[str, int]:
        """Return the pid of each part, as `status` knows them; workers are one, `worker`."""
        with contextlib.suppress(OSError, ValueError):
            report = json.loads((self.settings.state_dir / "status.json").read_text())
            named = {
                "worker" if part["name"].startswith("worker ") else part["name"]: part["pid"]
                for part in report["parts"]
                if part["pid"] is not None
            }
            supervisor = (self.settings.state_dir / "supervisor.lock").read_text()
            return {**named, "supervisor": int(supervisor)}
        return {}

    def api_key(self) -> str:
        for line in (self.settings.state_dir / "env").read_text().splitlines():
            if line.startswith("export FACES_API_KEY="):
                return line.partition("=")[2]
        raise AssertionError("no key in .local/env")

    def left_over(self) -> list[str]:
        """Return the processes that know this state folder, and the ports that listen."""
        mark = str(self.settings.state_dir)
        found = []
        for process in psutil.process_iter():
            if process.pid == os.getpid():
                continue
            with contextlib.suppress(psutil.Error, OSError):
                if mark in " ".join([*process.cmdline(), *process.environ().values()]):
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
        for port in self.ports:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    found.append(f"port {port} listens")
        return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
