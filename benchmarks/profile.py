"""Where the CPU worker's time goes: milliseconds of processor time of each part, one thread.

Parts are measured by wrapping the functions that do them, while photos of each size are
worked on one after the other; `decisions` is what is left of the detection: suppression of
boxes, thresholds, Python. `PROFILE_ROUNDS` (5) is how often each photo is looked at; the
round with the least time counts, because others on the machine can only add to it.
"""

import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console

from benchmarks.result import Figure, Outcome
from benchmarks.worker_photos import write_photos
from faces.contracts.jobs import ContentType, QualityFilter
from gpu_worker.analysis import embed_faces, find_faces
from gpu_worker.backends import cpu
from gpu_worker.backends.area import IntegralImage
from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.backends.choice import Backend, Choice, load
from gpu_worker.backends.converted import cache_folder, ensure_converted
from gpu_worker.photos import decode
from gpu_worker.weights import ensure_weights, weights_path

NAME = "profile"
SUMMARY = "where the CPU worker's time goes, part by part"

WATCHED: dict[str, list[tuple[type, str]]] = {
    "pyramid": [(IntegralImage, name) for name in ("__init__", "advance", "resample")],
    "P-Net": [(cpu._PNet, "run")],
    "R-Net, O-Net": [(cpu._Refiner, "run")],
}
"""Parts of the detection, and the functions whose time is theirs: pyramid is the sums, too,
and the crops belong to the nets that look at them."""

PARTS = ("decode", "pyramid", "P-Net", "R-Net, O-Net", "decisions", "crop", "embed")

MAX_PIXELS = 100_000_000

Seconds = dict[str, float]
"""By part."""


class Stopwatch:
    """Adds up processor time by part; what runs inside of another part counts for the inner."""

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self.seconds: Seconds = defaultdict(float)
        self._clock = clock
        self._inside: list[str] = []
        self._since = clock()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block for a part."""
        self._turn()
        self._inside.append(name)
        try:
            yield
        finally:
            self._turn()
            self._inside.pop()

    def watch(self, name: str, owner: object, function: str) -> "mock._patch[Any]":
        """Return a patch that counts each call of a function for a part."""
        original = getattr(owner, function)

        @wraps(original)
        def watched(*args: object, **kwargs: object) -> object:
            with self.part(name):
                return original(*args, **kwargs)

        return mock.patch.object(owner, function, watched)

    def _turn(self) -> None:
        now = self._clock()
        if self._inside:
            self.seconds[self._inside[-1]] += now - self._since
        self._since = now


def run(console: Console) -> Outcome:
    """Measure; needs the FaceNet weights."""
    folder = Path(tempfile.mkdtemp(prefix="faces-bench-"))
    try:
        weights, cache = ensure_weights(weights_path(os.environ)), cache_folder(os.environ)
        ensure_converted(weights, cache)
        return _measure(console, folder, weights, cache)
    except ModelUnusableError as error:
        return Outcome(benchmark=NAME, figures=(), notes=(f"not measured: {error}",))
    finally:
        shutil.rmtree(folder)


def _measure(console: Console, folder: Path, weights: Path, cache: Path) -> Outcome:
    photos, what = write_photos(folder)
    exact, fast = (
        load(Choice("cpu", "of the benchmark"), weights, cache, threads=1, detection=detection)
        for detection in ("exact", "fast")
    )
    rounds = int(os.environ.get("PROFILE_ROUNDS", "5"))
    figures = []
    for name, photo_folder in photos.items():
        console.print(f"  {name}", highlight=False)
        files = [path.read_bytes() for path in sorted(photo_folder.iterdir())]
        best = [_least(exact, data, rounds) for data in files]
        means = {part: 1000 * sum(each[part] for each in best) / len(files) for part in PARTS}
        means["together"] = sum(means.values())
        figures += [
            Figure(name=f"{name}, {part}", value=value, unit="ms") for part, value in means.items()
        ]
        quick = [_least(fast, data, rounds) for data in files]
        ratio = sum(map(_detection, best)) / sum(map(_detection, quick))
        figures.append(
            Figure(name=f"{name}, detection, fast", value=ratio, unit="x", better="higher")
        )
    notes = (what, "processor time of one thread, one photo at a time, mean over the photos")
    return Outcome(benchmark=NAME, figures=tuple(figures), notes=notes)


def _least(backend: Backend, data: bytes, rounds: int) -> Seconds:
    """Return the seconds of each part in the round that took the least."""
    tries = [_once(backend, data) for _ in range(rounds + 1)]
    return min(tries[1:], key=lambda each: sum(each.values()))


def _once(backend: Backend, data: bytes) -> Seconds:
    watch = Stopwatch()
    with ExitStack() as patches:
        for part, functions in WATCHED.items():
            for owner, function in functions:
                patches.enter_context(watch.watch(part, owner, function))
        with watch.part("decode"):
            image = decode(data, ContentType.JPEG, MAX_PIXELS).pixels
        with watch.part("decisions"):
            found = backend.detector.detect([image])[0]
        with watch.part("crop"):
            faces = find_faces(image, found, QualityFilter.NONE)
        with watch.part("embed"):
            embed_faces(backend.embedder, faces)
    return watch.seconds


def _detection(seconds: Seconds) -> float:
    return sum(seconds[part] for part in (*WATCHED, "decisions"))
