"""A local stack under load, with cheap workers where the networks are not the question."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from gpu_worker.weights import ensure_weights, weights_path
from local_stack.service import ChildProcess
from local_stack.settings import LocalSettings
from local_stack.stack import LocalStack

_FOREIGN = ("AWS_", "FACES_", "SCALER_", "WORKER_", "LOCAL_", "DATABASE_URL", "CACHE_URL")


class CheapStack(LocalStack):
    """A local stack whose workers' networks are made up; all else is as it is."""

    def _worker(self, instance_id: str) -> ChildProcess:
        worker = super()._worker(instance_id)
        worker.argv = [sys.executable, "-m", "tests.chaos.worker"]
        return worker


def settings(folder: Path, **chosen: str) -> LocalSettings:
    """Return settings of a stack of its own, whatever the shell has sourced."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    defaults = {"FACES_STACK": "faces-load", "LOCAL_BOOT_SECONDS": "1"}
    return LocalSettings.ephemeral(folder, {**kept, **defaults, **chosen})


def real_networks() -> dict[str, str]:
    """Return where workers find the weights; download them where they are missing.

    Raises
    ------
    ModelUnusableError
        When they cannot be had.
    """
    return {"TORCH_HOME": str(ensure_weights(weights_path(os.environ)).parent.parent)}


@dataclass
class Memory:
    """How much each part of a stack holds, in MiB, over time.

    Attributes
    ----------
    samples : by part; Lambdas are counted with the emulator that runs them, all workers
        together.
    """

    stack: LocalStack
    samples: dict[str, list[float]] = field(default_factory=dict)

    def sample(self) -> None:
        """Look once."""
        now: dict[str, float] = {}
        for part in self.stack.parts():
            name = "workers" if part.name.startswith("worker ") else part.name
            if part.pid is not None:
                now[name] = now.get(name, 0.0) + _resident_mib(part.pid)
        for name, held in now.items():
            self.samples.setdefault(name, []).append(held)

    def growth(self) -> dict[str, tuple[float, float]]:
        """Return by part what it held after a third of the time, and at the end at most."""
        found = {}
        for name, samples in self.samples.items():
            third = max(1, len(samples) // 3)
            found[name] = (max(samples[third : 2 * third] or samples), max(samples[-third:]))
        return found


def _resident_mib(pid: int) -> float:
    """Return what a process and all its children hold, shared pages once."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    total = 0.0
    for each in family:
        try:
            total += each.memory_full_info().pss / 2**20
        except (psutil.Error, AttributeError):
            continue
    return total
