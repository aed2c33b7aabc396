"""What each step before and after the network brings, and what it costs.

    python -m benchmarks.accuracy.ablation <folder in LFW form with pairs.txt>

Everything is measured on people that nothing was learnt from: means and cohorts come from
the other folds of the pairs. All figures are averages over the folds.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.calibrate import CACHE, halves, mean_person, people_folds
from benchmarks.accuracy.command import new_file, run
from benchmarks.accuracy.dataset import Dataset, load_folds
from benchmarks.accuracy.extract import Look, Record, extract
from benchmarks.accuracy.scores import Faces, Floats, Mask
from benchmarks.accuracy.several import several_photos
from benchmarks.accuracy.views import extract_views, fused, view_name
from gpu_worker.profiles import ACCURATE, DEFAULT, Cut, Profile, View

_COHORT = 200
_SPLITS = 20
_FAR = 0.05


@dataclass(frozen=True)
class Step:
    """One row of the table.

    Attributes
    ----------
    tar : true accept rate at FAR 0.1 % and 0.01 % a comparison.
    frr : of the seed's protocol at FAR 5 %, with half of a fold's people enrolled for FAR.
    milliseconds : processor time a photo, detection included.
    """

    name: str
    tar: tuple[float, float]
    rank1: float
    frr: float
    milliseconds: float


_SHARP = Image.Resampling.LANCZOS
PLAIN_VIEW, MIRRORED = View(), View(mirrored=True)
UPRIGHT, UPRIGHT_MIRRORED = View(Cut.UPRIGHT), View(Cut.UPRIGHT, mirrored=True)
SHARP = View(resampling=_SHARP)
SHARP_MIRRORED = View(Cut.UPRIGHT, mirrored=True, resampling=_SHARP)
WIDE_MIRRORED = View(Cut.UPRIGHT, 40, mirrored=True, resampling=_SHARP)
ALIGNED = View(Cut.ALIGNED)
FILTERS = (Image.Resampling.BOX, Image.Resampling.BICUBIC, _SHARP)

PROFILES: tuple[tuple[str, tuple[View, ...], bool], ...] = (
    ("plain: box, margin 32, bilinear", (PLAIN_VIEW,), False),
    *((f"margin {margin}", (View(margin=margin),), False) for margin in (0, 14, 24, 48, 64)),
    *((f"scaled by {each.name.lower()}", (View(resampling=each),), False) for each in FILTERS),
    ("turned upright", (UPRIGHT,), False),
    ("aligned by landmarks", (ALIGNED,), False),
    ("plain + mirrored", (PLAIN_VIEW, MIRRORED), False),
    ("plain + upright mirrored", (PLAIN_VIEW, UPRIGHT_MIRRORED), False),
    ("plain, mean taken away", (PLAIN_VIEW,), True),
    ("lanczos, mean taken away", (SHARP,), True),
    ("upright, mean taken away", (UPRIGHT,), True),
    ("plain + mirrored, mean taken away", (PLAIN_VIEW, MIRRORED), True),
    ("plain + aligned, mean taken away", (PLAIN_VIEW, ALIGNED), True),
    ("plain + upright mirrored, mean taken away", (PLAIN_VIEW, UPRIGHT_MIRRORED), True),
    ("the same by lanczos", (SHARP, SHARP_MIRRORED), True),
    ("the same, second view with margin 40", (SHARP, WIDE_MIRRORED), True),
    ("profile default", DEFAULT.views, True),
    ("profile accurate", ACCURATE.views, True),
    (
        "eight views, mean taken away",
        (
            *ACCURATE.views,
            *(
                view
                for view in (UPRIGHT, SHARP_MIRRORED, MIRRORED, View(margin=24), PLAIN_VIEW)
                if view not in ACCURATE.views
            ),
        )[:8],
        True,
    ),
)
VIEWS = tuple(dict.fromkeys(view for _, views, _ in PROFILES for view in views))


def main(arguments: list[str]) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.ablation")
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=new_file)
    given = parser.parse_args(arguments)
    console = Console(width=120)
    data = load_folds(given.data)
    records = extract_views(data, VIEWS, CACHE, console)
    steps = [
        _step(name, data, records, views, centred=centred) for name, views, centred in PROFILES
    ]
    steps[1:1] = _largest(data, console)
    steps += [
        _normalised("default, divided by spread of strangers", data, records, _spread),
        _normalised("default, adaptive s-norm with a cohort", data, records, _adaptive),
    ]
    _print(steps, console)
    # Single views have no quality score, so the whole profile's is taken.
    scored = extract(data.photos, [DEFAULT], CACHE, console)
    several = several_photos(halves(data, fused(records, data, DEFAULT), centred=True), scored)
    console.print(several.table())
    unsure = {limit: _less_sure(records, limit) for limit in (0.9, 0.95, 0.99, 0.999)}
    console.print(
        "photos lost if the detector had to be surer: "
        + ", ".join(f"{limit:g}: {lost:.2%}" for limit, lost in unsure.items())
    )
    if given.json is not None:
        document = {
            "steps": [asdict(step) for step in steps],
            "several": asdict(several),
            "unsure": unsure,
        }
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def _less_sure(records: Sequence[Record], limit: float) -> float:
    """Return the share of photos whose face is found with less confidence, or not at all."""
    return sum(record.confidence < limit for record in records) / len(records)


def figures(similarity: Floats, person: Floats) -> tuple[float, float, float, float]:
    """Return TAR at FAR 0.1 % and 0.01 %, rank-1, and FRR at FAR 5 % of one fold's photos.

    Parameters
    ----------
    similarity : (n, n) between all photos, which are sorted by person.
    """
    same = person[:, None] == person[None]
    upper = np.triu(np.ones_like(same), 1)
    genuine, strangers = similarity[upper & same], np.sort(similarity[upper & ~same])[::-1]
    owner = np.broadcast_to(person[:, None], same.shape)[upper & same]
    _, place, count = np.unique(owner, return_inverse=True, return_counts=True)
    weight = 1.0 / count[place]

    def tar(far: float) -> float:
        accepted = genuine > strangers[int(far * len(strangers))]
        return float(weight[accepted].sum() / weight.sum())

    people, first, photos = np.unique(person, return_index=True, return_counts=True)
    second = first[photos > 1] + 1
    cosines = similarity[np.ix_(second, first)]
    top, right = cosines.max(axis=1), people[cosines.argmax(axis=1)] == person[second]
    misses = []
    rng = np.random.default_rng(0)
    for _ in range(_SPLITS):
        enrolled = rng.permutation(len(people)) < len(people) // 2
        probes = ~enrolled[np.searchsorted(people, person)]
        best = np.sort(similarity[np.ix_(np.flatnonzero(probes), first[enrolled])].max(axis=1))
        threshold = best[::-1][int(_FAR * len(best))]
        misses.append(1 - float((right & (top > threshold)).mean()))
    return tar(1e-3), tar(1e-4), float(right.mean()), float(np.mean(misses))


def _step(
    name: str, data: Dataset, records: Sequence[Record], views: tuple[View, ...], *, centred: bool
) -> Step:
    profile = Profile(name, name, views)
    parts = halves(data, fused(records, data, profile), centred=centred)
    cost = _cost(records, [view_name(view) for view in views])
    return _average(name, [_cosines(part) for part in parts], cost)


def _cost(records: Sequence[Record], names: Sequence[str]) -> float:
    """Return the medians of the stages that these views need, in milliseconds."""
    stages = [f"{kind} {name}" for name in names for kind in ("crop", "embed")]
    return sum(
        float(np.median([r.milliseconds[stage] for r in records if stage in r.milliseconds]))
        for stage in ("decode", "detect", *stages)
    )


def _cosines(part: Faces) -> tuple[Floats, Floats]:
    used = part.found
    vectors = part.vectors[used].astype(np.float64)
    return vectors @ vectors.T, part.person[used].astype(np.float64)


def _average(name: str, parts: Sequence[tuple[Floats, Floats]], cost: float) -> Step:
    rows = np.array([figures(similarity, person) for similarity, person in parts])
    first, second, rank1, frr = (float(each) for each in rows.mean(axis=0))
    return Step(name, (first, second), rank1, frr, cost)


def _largest(data: Dataset, console: Console) -> list[Step]:
    """The largest face instead of the central one."""
    records = extract_views(data, (PLAIN_VIEW,), CACHE, console, Look(largest=True))
    return [_step("largest face", data, records, (PLAIN_VIEW,), centred=False)]


Normalise = Callable[[Faces, Faces], tuple[Floats, Floats]]


def _normalised(name: str, data: Dataset, records: Sequence[Record], normalise: Normalise) -> Step:
    faces = fused(records, data, DEFAULT)
    fold = people_folds(data)
    parts = []
    for number, part in zip(data.folds, halves(data, faces, centred=True), strict=True):
        parts.append(normalise(part, _cohort(faces, fold != number)))
    return _average(name, parts, float("nan"))


def _cohort(faces: Faces, people: Mask) -> Faces:
    """Return the other people's faces, centred by their own mean."""
    used = faces.found & people[faces.person]
    moved = faces.vectors - mean_person(faces, people)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return Faces(moved, used, faces.person)


def _spread(part: Faces, cohort: Faces) -> tuple[Floats, Floats]:
    """Divide by how widely strangers' similarities spread for each of the two faces."""
    similarity, person = _cosines(part)
    others = cohort.vectors[cohort.found].astype(np.float64)
    covariance = others.T @ others / len(others)
    vectors = part.vectors[part.found].astype(np.float64)
    spread = np.sqrt(np.einsum("nd,de,ne->n", vectors, covariance, vectors))
    return similarity / np.sqrt(spread[:, None] * spread[None]), person


def _adaptive(part: Faces, cohort: Faces) -> tuple[Floats, Floats]:
    """Adaptive symmetric normalisation by the most similar of the cohort (Matejka 2017)."""
    similarity, person = _cosines(part)
    vectors = part.vectors[part.found].astype(np.float64)
    others = np.sort(vectors @ cohort.vectors[cohort.found].astype(np.float64).T, axis=1)
    nearest = others[:, -_COHORT:]
    scaled = (similarity - nearest.mean(axis=1)[:, None]) / nearest.std(axis=1)[:, None]
    return (scaled + scaled.T) / 2, person


def _print(steps: Sequence[Step], console: Console) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("step")
    for heading in ("TAR@0.1%", "TAR@0.01%", "rank-1", "FRR@FAR 5%", "ms a photo"):
        table.add_column(heading, justify="right")
    for step in steps:
        shares = (*step.tar, step.rank1, step.frr)
        cost = "" if np.isnan(step.milliseconds) else f"{step.milliseconds:.1f}"
        table.add_row(step.name, *(f"{100 * share:.1f}" for share in shares), cost)
    console.print(table)


if __name__ == "__main__":
    sys.exit(run(main))
