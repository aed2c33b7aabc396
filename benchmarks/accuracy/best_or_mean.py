"""Is a face compared with the nearest of a person's faces, or with their mean?

python -m benchmarks.accuracy.best_or_mean <folder>    # in LFW's form

Of each person with more than k photos, k random ones are enrolled and the others asked for.
Of those with fewer, half are enrolled too and half are strangers; the threshold lets in a
given share of the strangers. The means of many random draws, with their standard errors.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.calibrate import CACHE
from benchmarks.accuracy.command import run
from benchmarks.accuracy.dataset import DatasetError, load
from benchmarks.accuracy.extract import extract
from benchmarks.accuracy.scores import Faces, Floats, Indices, stack
from gpu_worker.backends.base import FloatArray
from gpu_worker.profiles import PROFILES

DRAWS = 30
ENROLLED = (2, 3, 5)
RATES = (0.01, 0.1)

Way = Callable[[FloatArray], FloatArray]


def nearest(vectors: FloatArray) -> FloatArray:
    """Return (n, 512): each of a person's faces is compared with."""
    return vectors


def mean(vectors: FloatArray) -> FloatArray:
    """Return (1, 512): the mean of unit vectors, of unit length, as the worker's copy has it."""
    summed = vectors.sum(axis=0)
    unit: FloatArray = (summed / np.linalg.norm(summed))[None]
    return unit


WAYS: dict[str, Way] = {"best face": nearest, "mean": mean}


@dataclass(frozen=True)
class Row:
    """Shares of the photos that are answered with the right person, and standard errors.

    Attributes
    ----------
    enrolled : faces of each person who is asked for.
    right : by way and rate of strangers, one a draw.
    """

    enrolled: int
    people: int
    right: dict[tuple[str, float], Floats]


def measure(faces: Faces, enrolled: int, draws: int, seed: int = 0) -> Row:
    """Compare the ways on the same random draws.

    Raises
    ------
    DatasetError
        When nobody has enough photos, or no stranger is left.
    """
    own = [
        np.flatnonzero(faces.found & (faces.person == each))
        for each in np.unique(faces.person[faces.found])
    ]
    several = [photos for photos in own if len(photos) > enrolled]
    few = [photos for photos in own if len(photos) <= enrolled]
    if not several or len(few) < 2:
        raise DatasetError(f"too few people with more than {enrolled} photos, or with fewer")
    right: dict[tuple[str, float], list[float]] = {
        (way, rate): [] for way in WAYS for rate in RATES
    }
    for draw in range(draws):
        random = np.random.default_rng((seed, enrolled, draw))
        shuffled = [random.permutation(photos) for photos in several]
        order = random.permutation(len(few))
        known = [few[each] for each in order[: len(few) // 2]]
        gallery = [photos[:enrolled] for photos in shuffled] + known
        probes = [photos[enrolled:] for photos in shuffled]
        strangers = np.concatenate([few[each] for each in order[len(few) // 2 :]])
        for name, way in WAYS.items():
            for rate, share in _answered(faces.vectors, gallery, probes, strangers, way).items():
                right[name, rate].append(share)
    return Row(enrolled, len(several), {key: np.array(shares) for key, shares in right.items()})


def _answered(
    vectors: FloatArray,
    gallery: Sequence[Indices],
    probes: Sequence[Indices],
    strangers: Indices,
    way: Way,
) -> dict[float, float]:
    rows = [way(vectors[photos]) for photos in gallery]
    owner = np.repeat(np.arange(len(rows)), [len(each) for each in rows])
    enrolled = np.concatenate(rows)
    asked = np.concatenate(list(probes))
    whose = np.repeat(np.arange(len(probes)), [len(photos) for photos in probes])
    cosines = vectors[asked] @ enrolled.T
    best = cosines.argmax(axis=1)
    similarity = cosines[np.arange(len(best)), best]
    correct = owner[best] == whose
    lies = np.sort((vectors[strangers] @ enrolled.T).max(axis=1))[::-1]
    return {
        rate: float((correct & (similarity > lies[int(rate * len(lies))])).mean()) for rate in RATES
    }


def table(rows: Sequence[Row]) -> Table:
    """Return the figures as a table."""
    made = Table(title="answered with the right person", box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("faces enrolled")
    for rate in RATES:
        for way in WAYS:
            made.add_column(f"{way}, {rate:.0%} of strangers", justify="right")
    for row in rows:
        cells = []
        for rate in RATES:
            for way in WAYS:
                shares = row.right[way, rate]
                error = shares.std(ddof=1) / np.sqrt(len(shares))
                cells.append(f"{shares.mean():.1%} ± {error:.1%}")
        made.add_row(f"{row.enrolled} of each of {row.people}", *cells)
    return made


def main(arguments: list[str]) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.best_or_mean")
    parser.add_argument("data", type=Path, help="folder in LFW's form")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="default")
    parser.add_argument("--draws", type=int, default=DRAWS)
    given = parser.parse_args(arguments)
    console = Console()
    profile = PROFILES[given.profile]
    data = load(given.data)
    records = extract(data.photos, [profile], CACHE, console)
    faces = stack([record.vectors.get(profile.name) for record in records], data.person)
    rows = [measure(faces, enrolled, given.draws) for enrolled in ENROLLED]
    console.print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
