"""The worker on CPUs, from JPEG bytes to a match, beside the usual loop of facenet-pytorch.

Both are measured in turns in one run, because the speed of a shared machine changes: only
the ratio holds. On all cores, the worker runs as one process of one thread for each, the
baseline as one process with a thread for each; its threads wait actively, so that this
ratio is only right on an idle machine. On one core, both run as one process of one thread,
and images are counted by CPU seconds, which others on the machine hardly change. For this both
look at each face once (the profile `plain`); the profile `default`, which looks twice, has a
figure of its own.

`BENCH_SECONDS` (3) is how long each turn lasts, `BENCH_ROUNDS` (3) how many turns.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from benchmarks.result import Figure, Outcome
from benchmarks.worker_photos import ORIGINALS, write_photos
from benchmarks.worker_plot import plot_rates
from gpu_worker.backends.base import ModelUnusableError, min_face_px
from gpu_worker.backends.converted import cache_folder, ensure_converted
from gpu_worker.backends.mtcnn import pyramid
from gpu_worker.weights import ensure_weights, weights_path

NAME = "worker"
SUMMARY = "images per second on CPUs, from JPEG bytes to a match, beside facenet-pytorch"

# On all cores.
TARGETS = {"250x250": 5.0, "640x480": 5.0, "1920x1080": 4.0, ORIGINALS: 4.0}
TARGET_READY_SECONDS = 5.0
GALLERY_FACES = 10_000
_END_SECONDS = 5.0

PNET_FLOP = 2 * (3 * 10 * 9 + (10 * 16 * 9 + 16 * 32 * 9 + 32 * 6) / 4)
"""Of P-Net, for each pixel of a pyramid's levels."""

FACENET_FLOP = 2.835e9
"""Of InceptionResnetV1, for each face."""

ROOT = Path(__file__).resolve().parent.parent


class Process:
    """A child that measures; see `benchmarks.worker_child`."""

    def __init__(self, kind: str, threads: int, cache: Path, faces: int) -> None:
        started = time.perf_counter()
        arguments = (kind, threads, cache, faces)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker_child", *map(str, arguments)],
            cwd=ROOT,
            # Libraries below the networks, such as numpy's, take no threads of their own.
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()
        self.ready_seconds = time.perf_counter() - started

    def ask(self, do: str, **arguments: object) -> None:
        """Send a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to a command."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the benchmark ended, see above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Let it end, or end it: one that is in the middle of something does not listen."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Rates:
    """Images per second at one size, turn by turn.

    Attributes
    ----------
    default : the worker's by its default profile.
    one_core : the worker's images per CPU second over the baseline's.
    """

    worker: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)
    default: list[float] = field(default_factory=list)
    one_core: list[float] = field(default_factory=list)
    faces: float = 0

    @property
    def ratio(self) -> float:
        """How many times the baseline, by the medians."""
        return statistics.median(self.worker) / statistics.median(self.baseline)


def run(console: Console) -> Outcome:
    """Measure; needs the FaceNet weights."""
    folder = Path(tempfile.mkdtemp(prefix="faces-bench-"))
    try:
        weights, cache = ensure_weights(weights_path(os.environ)), cache_folder(os.environ)
        ensure_converted(weights, cache)
        return _measure(console, folder, cache)
    except ModelUnusableError as error:
        return Outcome(benchmark=NAME, figures=(), notes=(f"not measured: {error}",))
    finally:
        shutil.rmtree(folder)


def _measure(console: Console, folder: Path, cache: Path) -> Outcome:
    photos, what = write_photos(folder)
    cores = len(os.sched_getaffinity(0))
    rounds, seconds = number("BENCH_ROUNDS", 3), number("BENCH_SECONDS", 3)
    with _processes(cores, cache) as (workers, baseline, single):
        peaks = {name: together(workers, "peak", precision=name) for name in ("f32", "bf16")}
        gflops = {name: sum(each["gflops"] for each in found) for name, found in peaks.items()}
        rates = {name: Rates() for name in photos}
        for name, rate in rates.items():
            for _ in range(rounds):
                turns = together(workers, "timed", folder=str(photos[name]), seconds=seconds)
                rate.worker.append(_rate(turns))
                rate.faces = sum(t["faces"] for t in turns) / sum(t["photos"] for t in turns)
                turns = together(
                    workers,
                    "timed",
                    folder=str(photos[name]),
                    seconds=seconds,
                    profile="default",
                )
                rate.default.append(_rate(turns))
                turns = together([baseline], "timed", folder=str(photos[name]), seconds=seconds)
                rate.baseline.append(_rate(turns))
                pair = [
                    together([each], "timed", folder=str(photos[name]), seconds=seconds)[0]
                    for each in (workers[0], single)
                ]
                ours, theirs = (turn["photos"] / turn["cpu_seconds"] for turn in pair)
                rate.one_core.append(ours / theirs)
            console.print(f"  {name}: {rate.ratio:.2f} x the baseline", highlight=False)
        ready = max(each.ready_seconds for each in workers)
    plot_rates(rates, f"{cores} cores", ROOT / "benchmarks" / "results" / f"{NAME}-rates.png")
    figures = [
        *(figure for name in rates for figure in _figures(name, rates[name], photos, gflops)),
        Figure(name="start to ready", value=ready, unit="s", target=TARGET_READY_SECONDS),
        *(
            Figure(name=f"peak of a convolution, {name}", value=value, unit="GFLOP/s")
            for name, value in gflops.items()
        ),
    ]
    return Outcome(
        benchmark=NAME,
        figures=tuple(figures),
        notes=(
            f"{what}; medians of {rounds} turns each",
            f"worker: {cores} processes of 1 thread; baseline: 1 process of {cores} threads",
            "times the baseline, and share of peak, are of the profile plain, as the baseline is",
            "share of peak: P-Net's and FaceNet's operations over a convolution's speed",
        ),
    )


@contextlib.contextmanager
def _processes(cores: int, cache: Path) -> Iterator[tuple[list[Process], Process, Process]]:
    """Start the worker's processes, the baseline on all cores and the one on one core."""
    started: list[Process] = []
    try:
        while len(started) < cores:
            started.append(Process("worker", 1, cache, GALLERY_FACES))
        started.append(Process("baseline", cores, cache, GALLERY_FACES))
        started.append(Process("baseline", 1, cache, GALLERY_FACES))
        yield started[:-2], started[-2], started[-1]
    finally:
        for process in started:
            process.end()


def together(processes: Sequence[Process], do: str, **arguments: object) -> list[dict[str, Any]]:
    """Have all do the same at the same time; return their answers."""
    for process in processes:
        process.ask(do, **arguments)
    return [process.answer() for process in processes]


def _rate(turns: Sequence[dict[str, Any]]) -> float:
    return float(sum(turn["photos"] / turn["seconds"] for turn in turns))


def _figures(
    name: str, rates: Rates, photos: dict[str, Path], gflops: dict[str, float]
) -> list[Figure]:
    measured = statistics.median(rates.worker)
    pixels = statistics.mean(_pyramid_pixels(path) for path in photos[name].iterdir())
    fastest = max(gflops.values())
    busy = PNET_FLOP * pixels / gflops["f32"] + FACENET_FLOP * rates.faces / fastest
    return [
        Figure(
            name=name,
            value=measured,
            unit="img/s",
            better="higher",
            baseline=statistics.median(rates.baseline),
        ),
        Figure(
            name=f"{name}, times the baseline",
            value=rates.ratio,
            unit="x",
            target=TARGETS.get(name),
            better="higher",
        ),
        Figure(
            name=f"{name}, profile default",
            value=statistics.median(rates.default),
            unit="img/s",
            better="higher",
            baseline=statistics.median(rates.baseline),
        ),
        Figure(
            name=f"{name}, times the baseline on one core",
            value=statistics.median(rates.one_core),
            unit="x",
            better="higher",
        ),
        Figure(name=f"{name}, share of peak", value=measured * busy / 1e9 * 100, unit="%"),
    ]


def _pyramid_pixels(path: Path) -> int:
    with Image.open(path) as photo:
        width, height = photo.size
    levels = pyramid(height, width, min_face_px(height, width))
    return sum(rows * columns for _, rows, columns in levels)


def number(variable: str, default: int) -> int:
    """Return a whole number from the environment."""
    return int(os.environ.get(variable) or default)
