"""A benchmark that is stopped leaves nothing running."""

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


def test_a_benchmark_that_is_terminated_ends_its_database() -> None:
    """As `timeout` does it: the signal goes to the process, and then to its group."""
    benchmark = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "people"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    servers: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + SECONDS
        # A server has several processes; initdb, before it, only one.
        while len(servers) < 4:
            assert benchmark.poll() is None, benchmark.communicate()[1]
            assert time.monotonic() < deadline, "no database was started"
            time.sleep(0.1)
            servers = [
                each
                for each in psutil.Process(benchmark.pid).children(recursive=True)
                if each.name() == "postgres"
            ]
        benchmark.send_signal(signal.SIGTERM)
        os.killpg(benchmark.pid, signal.SIGTERM)
        assert benchmark.wait(SECONDS) == EXIT_TERMINATED
        assert [each for each in servers if _runs(each)] == []
    finally:
        benchmark.kill()
        benchmark.communicate()
        for server in servers:
            if _runs(server):
                server.kill()


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
