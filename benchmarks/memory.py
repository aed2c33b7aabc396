"""The memory of a CPU worker over many photos of mixed sizes, with the largest gallery it keeps.

    python -m benchmarks memory                   # 500 photos, a minute
    python -m benchmarks memory --soak 10000      # as a release is measured, a quarter of an hour

One photo in 21 has twelve megapixels. The profile is `default`; photos come one after the other,
so that the peak is of one photo: `tests/integration/test_worker_process.py` has several in hand.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.result import Figure, Outcome
from benchmarks.worker import Process, number, together
from benchmarks.worker_photos import ORIGINALS, SIZES, write_large, write_photos
from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.backends.converted import cache_folder, ensure_converted
from gpu_worker.sizes import ON_CPU
from gpu_worker.weights import ensure_weights, weights_path

NAME = "memory"
SUMMARY = "memory of a CPU worker over photos of mixed sizes (--soak says how many)"

PHOTOS = "BENCH_PHOTOS"
DEFAULT_PHOTOS = 500
PARTS = 20
TARGET_MEGABYTES = 450.0
TARGET_GROWTH_MEGABYTES = 20.0


def run(console: Console) -> Outcome:
    """Measure; needs the FaceNet weights."""
    folder = Path(tempfile.mkdtemp(prefix="faces-bench-"))
    count = number(PHOTOS, DEFAULT_PHOTOS)
    try:
        weights, cache = ensure_weights(weights_path(os.environ)), cache_folder(os.environ)
        ensure_converted(weights, cache)
        photos, what = write_photos(folder)
        started = time.perf_counter()
        memory, peak = _soak(console, photos, write_large(folder), cache, count)
        seconds = time.perf_counter() - started
    except ModelUnusableError as error:
        return Outcome(benchmark=NAME, figures=(), notes=(f"not measured: {error}",))
    finally:
        shutil.rmtree(folder)
    return Outcome(
        benchmark=NAME,
        figures=figures(memory, peak),
        samples={"on the way": tuple(memory)},
        sample_unit="MB",
        notes=(
            f"{what}; {count:,} photos in {seconds:.0f} s, {ON_CPU.exact_faces:,} faces known",
            "resident memory of one process of one thread",
        ),
    )


def _soak(
    console: Console, photos: dict[str, Path], large: Path, cache: Path, count: int
) -> tuple[list[float], float]:
    """Return the megabytes on the way through photos of mixed sizes, and the most of any moment."""
    sizes = [str(photos[name]) for name in (*SIZES, ORIGINALS)] * 4 + [str(large)]
    memory: list[float] = []
    peak = 0.0
    process = Process("worker", 1, cache, ON_CPU.exact_faces)
    try:
        for part in range(PARTS + 1):
            # First none: the memory at the start.
            done, before = count * part // PARTS, count * max(0, part - 1) // PARTS
            [found] = together([process], "soaked", folders=sizes, photos=done - before, seed=part)
            memory.append(found["megabytes"])
            peak = found["peak"]
            console.print(f"  {done:6,} photos: {memory[-1]:.0f} MB, at most {peak:.0f}")
    finally:
        process.end()
    return memory, peak


def figures(memory: Sequence[float], peak: float) -> tuple[Figure, ...]:
    """Return what the megabytes on the way, and the most of any moment, say."""
    middle = memory[len(memory) // 2]
    return (
        Figure(name="at the start", value=memory[0], unit="MB", target=TARGET_MEGABYTES),
        Figure(name="in the middle", value=middle, unit="MB", target=TARGET_MEGABYTES),
        Figure(name="at the end", value=memory[-1], unit="MB", target=TARGET_MEGABYTES),
        Figure(name="peak", value=peak, unit="MB", target=TARGET_MEGABYTES),
        Figure(
            name="end over middle",
            value=memory[-1] - middle,
            unit="MB",
            target=TARGET_GROWTH_MEGABYTES,
        ),
    )
