"""How much the GPU benchmark measures, and how it counts."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gpu_worker.backends.base import FloatArray, RgbImage

TARGET_PHOTOS, TARGET_TIMES, TARGET_FACES = 2000.0, 20.0, 30_000.0
"""Images per second, times the baseline, and faces per second: of one H200."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes
    ----------
    gallery : faces that each photo's face is compared with.
    galleries : sizes that the search is measured at.
    photos : that go the whole way.
    seconds : for each smaller measurement.
    batches : of the detector.
    """

    gallery: int = 100_000
    galleries: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    photos: int = 20_000
    seconds: float = 3.0
    batches: tuple[int, ...] = (1, 8, 32)
    faces: tuple[int, ...] = (16, 64, 256)


QUICK = Effort(200, (200,), 4, 0.01, (1, 2), (2,))


_WARM_UPS = 5
"""The detector captures a graph at the fourth call with a size of batch."""


def people(count: int) -> FloatArray:
    """Return (count, 512) unit vectors: the cost of a search does not depend on their values."""
    rows = np.random.default_rng(1).standard_normal((count, 512), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def per_second(work: Callable[[int], object], items: int, seconds: float) -> float:
    """Return items per second of calls that do so many each; `work` gets the call's number."""
    for number in range(_WARM_UPS):
        work(number)
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds or not calls:
        work(calls)
        calls += 1
    return calls * items / (time.perf_counter() - started)


def rate_of(
    work: Callable[[list[RgbImage]], object], images: list[RgbImage], seconds: float
) -> float:
    return per_second(lambda _: work(images), len(images), seconds)


def wait(device: torch.device) -> None:
    """Wait until a device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
