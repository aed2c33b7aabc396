"""Which backend a worker uses: decided without torch, so that a CPU worker never loads it."""

import ctypes
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gpu_worker.backends.base import (
    Detector,
    Embedder,
    ModelUnusableError,
    SmallestFace,
    fast_min_face_px,
    min_face_px,
)
from gpu_worker.backends.converted import ensure_converted
from gpu_worker.crop import CROP_PX
from gpu_worker.nearest import HostRows, NearestRows

BackendName = Literal["reference", "cpu", "cuda"]
Wanted = Literal["auto", "reference", "cpu", "cuda"]
DetectionMode = Literal["exact", "fast"]


@dataclass(frozen=True)
class Choice:
    """A backend, and why it was chosen; `reason` completes "because ..."."""

    name: BackendName
    reason: str


@dataclass(frozen=True, eq=False)
class Backend:
    """Loaded networks.

    Attributes
    ----------
    device : what they run on, and how, for the log.
    make_nearest : makes what compares vectors with those of a collection, there.
    """

    detector: Detector
    embedder: Embedder
    choice: Choice
    device: str
    make_nearest: Callable[[], NearestRows] = HostRows


def choose(wanted: Wanted, *, gpus: int, openvino: bool) -> Choice:
    """Decide for a backend.

    Parameters
    ----------
    gpus : CUDA devices that this process may use.
    openvino : whether OpenVINO is installed.

    Raises
    ------
    ModelUnusableError
        When the machine lacks what the wanted backend needs.
    """
    if wanted == "cuda" and not gpus:
        raise ModelUnusableError("WORKER_BACKEND is cuda, but no CUDA device can be used.")
    if wanted == "cpu" and not openvino:
        raise ModelUnusableError("WORKER_BACKEND is cpu, but the package openvino is missing.")
    if wanted != "auto":
        return Choice(wanted, "WORKER_BACKEND says so")
    if gpus:
        return Choice("cuda", f"{gpus} CUDA device{'s' if gpus > 1 else ''} can be used")
    if openvino:
        return Choice("cpu", "there is no CUDA device")
    return Choice("reference", "there is neither a CUDA device nor OpenVINO")


def cuda_devices() -> int:
    """Return how many CUDA devices this process may use, as the driver says."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def has_openvino() -> bool:
    """Return whether OpenVINO is installed; does not load it."""
    return importlib.util.find_spec("openvino") is not None


def choose_here(wanted: Wanted) -> Choice:
    """Decide for a backend on this machine; see `choose`."""
    return choose(wanted, gpus=cuda_devices(), openvino=has_openvino())


def prepare(choice: Choice, weights: Path, cache: Path) -> None:
    """Do what a backend needs once on a machine, so that workers start at once.

    Raises
    ------
    ModelUnusableError
        As `load`.
    """
    if choice.name == "cpu":
        ensure_converted(weights, cache)


def load(
    choice: Choice,
    weights: Path,
    cache: Path,
    *,
    threads: int,
    detection: DetectionMode,
) -> Backend:
    """Load a backend's networks, warm: the first inference allocates and chooses algorithms.

    Parameters
    ----------
    weights : FaceNet's file, as facenet-pytorch keeps it.
    cache : where converted networks are kept.
    threads : of the networks; 0 takes one for each core.
    detection : `exact`, or `fast`, which looks for larger faces only in large photos.

    Raises
    ------
    ModelUnusableError
        When the weights are damaged or something they need is missing.
    """
    smallest = fast_min_face_px if detection == "fast" else min_face_px
    backend = _LOADERS[choice.name](choice, weights, cache, threads, smallest)
    blank = np.zeros((CROP_PX, CROP_PX, 3), dtype=np.uint8)
    backend.detector.detect([blank])
    backend.embedder.embed([blank])
    return backend


def _load_cpu(
    choice: Choice, weights: Path, cache: Path, threads: int, smallest: SmallestFace
) -> Backend:
    from gpu_worker.backends.cpu import OpenVinoDetector, OpenVinoEmbedder, Runtime

    runtime = Runtime(ensure_converted(weights, cache), threads)
    precision = runtime.best_precision()
    return Backend(
        OpenVinoDetector(runtime, smallest),
        OpenVinoEmbedder(runtime, precision),
        choice,
        f"cpu, {precision} embeddings",
    )


def _load_reference(
    choice: Choice, weights: Path, cache: Path, threads: int, smallest: SmallestFace
) -> Backend:
    from gpu_worker.backends.reference import FaceNetEmbedder, MtcnnDetector, set_threads

    set_threads(threads)
    return Backend(MtcnnDetector(smallest=smallest), FaceNetEmbedder(weights), choice, "cpu")


def _load_cuda(
    choice: Choice, weights: Path, cache: Path, threads: int, smallest: SmallestFace
) -> Backend:
    import torch

    if not torch.cuda.is_available():
        raise ModelUnusableError(
            f"A CUDA device is there, but PyTorch {torch.__version__} cannot use it: install its "
            "build for CUDA, or set WORKER_BACKEND=cpu."
        )
    from gpu_worker.backends.device.load import load_parts

    detector, embedder, make_nearest, device = load_parts("cuda:0", weights, smallest)
    return Backend(detector, embedder, choice, device, make_nearest)


_Loader = Callable[[Choice, Path, Path, int, SmallestFace], Backend]
_LOADERS: dict[BackendName, _Loader] = {
    "reference": _load_reference,
    "cpu": _load_cpu,
    "cuda": _load_cuda,
}
