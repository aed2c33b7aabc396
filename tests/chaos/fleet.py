"""Worker processes of which there are always as many as wanted, however many are killed."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from local_stack.emulator import REGION, ROOT_CREDENTIALS

ROOT = Path(__file__).resolve().parents[2]
# A twelfth of the real one; less, and a busy machine takes the living for the dead.
VISIBILITY_SECONDS = 6


def worker_environ(stack: str, s3_url: str, sqs_url: str, database_url: str) -> dict[str, str]:
    """Return the environment of a worker that reaches each service by its own address."""
    return {
        "PATH": os.environ["PATH"],
        **ROOT_CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_S3": s3_url,
        "AWS_ENDPOINT_URL_SQS": sqs_url,
        "DATABASE_URL": database_url,
        "FACES_STACK": stack,
        "WORKER_POLL_SECONDS": "1",
        "WORKER_VISIBILITY_SECONDS": str(VISIBILITY_SECONDS),
        "WORKER_IDLE_SECONDS": "3600",
        "CHAOS_DETECT_SECONDS": "0.02",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


class Fleet:
    """Workers; one that ends is followed by another.

    Parameters
    ----------
    wanted : how many.
    environ : of each worker, beside its own name.
    logs : the start of the path of each one's log.
    chosen : says who is killed.
    """

    def __init__(
        self, wanted: int, environ: Mapping[str, str], logs: str, chosen: random.Random
    ) -> None:
        self.kills = 0
        self._wanted = wanted
        self._environ = environ
        self._logs = logs
        self._chosen = chosen
        self._processes: list[subprocess.Popen[bytes]] = []
        self._started = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start the workers, and look after them."""
        self._keeper.start()

    def stop(self) -> None:
        """End them all."""
        self._over.set()
        self._keeper.join()
        for process in self._processes:
            process.kill()
            process.wait()

    def alive(self) -> list["subprocess.Popen[bytes]"]:
        """Return the processes that run."""
        with self._lock:
            return [process for process in self._processes if process.poll() is None]

    def kill_one(self) -> bool:
        """Kill a random worker; return whether there was one."""
        alive = self.alive()
        if not alive:
            return False
        self._chosen.choice(alive).send_signal(signal.SIGKILL)
        self.kills += 1
        return True

    def _keep(self) -> None:
        while not self._over.wait(0.05):
            with self._lock:
                self._processes = [each for each in self._processes if each.poll() is None]
                while len(self._processes) < self._wanted and not self._over.is_set():
                    self._processes.append(self._start_one())

    def _start_one(self) -> "subprocess.Popen[bytes]":
        self._started += 1
        with Path(f"{self._logs}-{self._started}.log").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.worker"],
                env={**self._environ, "WORKER_ID": f"i-{self._started}"},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
