"""Puts the parts of the device backend together."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from gpu_worker.backends.base import SmallestFace
from gpu_worker.backends.device.detector import DeviceDetector
from gpu_worker.backends.device.embedder import DeviceEmbedder
from gpu_worker.backends.device.nearest import DeviceRows

Parts = tuple[DeviceDetector, DeviceEmbedder, Callable[[], DeviceRows], str]


def load_parts(name: str, weights: Path, smallest: SmallestFace) -> Parts:
    """Return detector, embedder, maker of searches and what the log says of the device.

    Parameters
    ----------
    name : torch's name of the device.

    Raises
    ------
    ModelUnusableError
        When the weights are damaged.
    """
    device = torch.device(name)
    dtype = best_dtype(device)
    embedder = DeviceEmbedder(weights, device, dtype)
    if device.type == "cuda":
        embedder.warm_up()
        name = f"{name}, {torch.cuda.get_device_name(device)}"
    described = f"{name}, {str(dtype).removeprefix('torch.')} embeddings"
    return DeviceDetector(device, smallest), embedder, partial(DeviceRows, device), described


def best_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16, or float16 on GPUs whose tensor cores know no other (before Ampere)."""
    if device.type != "cuda":
        return torch.bfloat16
    major, _ = torch.cuda.get_device_capability(device)
    return torch.bfloat16 if major >= 8 else torch.float16
