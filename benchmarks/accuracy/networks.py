"""The networks that a worker would use on this machine."""

import os
from pathlib import Path

from gpu_worker.backends.choice import (
    Backend,
    Choice,
    choose,
    cuda_devices,
    has_openvino,
    load,
)
from gpu_worker.weights import ensure_weights, weights_path


def chosen() -> Choice:
    """Return the backend that a worker would choose."""
    return choose("auto", gpus=cuda_devices(), openvino=has_openvino())


def load_networks(cache: Path, threads: int = 1) -> Backend:
    """Load the networks as a worker does.

    Raises
    ------
    ModelUnusableError
        When the weights are missing or damaged.
    """
    weights = ensure_weights(weights_path(os.environ))
    return load(chosen(), weights, cache, threads=threads, detection="exact")
