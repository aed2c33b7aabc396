"""A local stack under load, with cheap workers where the networks are not the question."""

import os
import sys
from pathlib import Path

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
