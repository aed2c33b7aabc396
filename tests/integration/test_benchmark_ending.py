"""A benchmark that is stopped leaves nothing running."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.ending import EXIT_TERMINATED

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0


def test_a_benchmark_that_is_terminated_ends_its_database(tmp_path: Path) -> None:
    """As `timeout` does it: the signal goes to the process, and then to its group."""
    said = tmp_path / "said"
    with said.open("w") as output:
        benchmark = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", "people"],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    servers: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + SECONDS
        # A server has several processes; initdb, before it, only one.
        while len(servers) < 4:
            assert benchmark.poll() is None, said.read_text()
            assert time.monotonic() < deadline, "no database was started"
            time.sleep(0.1)
            children = psutil.Process(benchmark.pid).children(recursive=True)
            servers = [each for each in children if _name(each) == "postgres"]
        benchmark.send_signal(signal.SIGTERM)
        os.killpg(benchmark.pid, signal.SIGTERM)
        assert benchmark.wait(SECONDS) == EXIT_TERMINATED, said.read_text()
        assert [each for each in servers if _runs(each)] == []
    finally:
        benchmark.kill()
        benchmark.wait()
        for server in servers:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.kill()


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:  # initdb's, which come and go
        return ""


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
