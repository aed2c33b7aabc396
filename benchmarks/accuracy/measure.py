"""From the records of all photos to the report."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.accuracy.dataset import Dataset
from benchmarks.accuracy.extract import Record
from benchmarks.accuracy.held_out import halves_of, held_out
from benchmarks.accuracy.intervals import Estimate, wilson
from benchmarks.accuracy.networks import chosen
from benchmarks.accuracy.plots import plot_det, plot_rejection, plot_reliability, plot_roc
from benchmarks.accuracy.protocols import (
    open_set,
    seed_protocol,
    split,
    tar_of_all,
    verify_pairs,
)
from benchmarks.accuracy.report import AccuracyReport, Counts, Rejection
from benchmarks.accuracy.scores import Comparisons, Faces, Floats, compare_all, stack
from gpu_worker.backends.model import MODEL
from gpu_worker.calibration import load_calibration
from gpu_worker.profiles import Profile

_REJECTED = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
_REJECTION_FAR = (1e-3, 1e-4)
_GROUP_FAR = 1e-3
_YAWS = ((0, 15), (15, 30), (30, 90))
_SIZES = ((0, 40), (40, 80), (80, 120), (120, 10_000))


def measure(
    profile: Profile, data: Dataset, records: Sequence[Record], rate: float, plots: Path
) -> AccuracyReport:
    """Run every protocol over the records.

    Parameters
    ----------
    rate : the false accept rate that the service is asked for.
    plots : folder for the curves.
    """
    calibration = load_calibration(profile.crop_version)
    faces = stack([record.vectors.get(profile.name) for record in records], data.person)
    comparisons = compare_all(faces)
    enrolled = len(data.people) // 2
    threshold = calibration.identify_threshold(rate, enrolled)
    rejection = reject(faces, records)
    plots.mkdir(parents=True, exist_ok=True)
    plot_roc(comparisons, plots / "roc.png")
    plot_det(comparisons, plots / "det.png")
    plot_rejection(rejection, plots / "rejection.png")
    first, second = halves_of(faces, split(data))
    tested = held_out((first, second))
    if tested is not None:
        plot_reliability(tested, plots / "reliability.png")
    pairs = None
    if data.pairs:
        pairs = verify_pairs(data, faces, calibration.even_threshold)
    return AccuracyReport(
        profile=profile.name,
        model_tag=profile.model(MODEL).tag,
        backend=chosen().name,
        counts=count(records, data),
        pairs=pairs,
        tar_all=tar_of_all(comparisons, len(data.people)),
        seed=seed_protocol(data, faces, threshold),
        open_set=open_set(data, faces),
        calibration={"rate": rate, "gallery": enrolled, "threshold": threshold},
        rejection=rejection,
        held_out=tested,
        groups={
            "yaw": groups(faces, comparisons, yaws(records), _YAWS, max),
            "face px": groups(faces, comparisons, sizes(records), _SIZES, min),
        },
        milliseconds=milliseconds(records),
    )


def count(records: Sequence[Record], data: Dataset) -> Counts:
    """Count what became of the photos."""
    refused: Counter[str] = Counter()
    for record in records:
        if record.rivals:
            refused["several_faces"] += 1
        if record.quality is not None:
            refused.update(str(reason) for reason in record.quality.reasons)
    undetected = sum(record.error == "no_face" for record in records)
    unread = sum(record.error not in (None, "no_face") for record in records)
    unenrollable = sum(not record.enrollable for record in records) - undetected - unread
    return Counts(
        photos=len(records),
        people=len(data.people),
        not_detected=wilson(undetected, len(records) - unread),
        not_enrollable=wilson(unenrollable, len(records) - unread - undetected),
        refused=dict(refused),
        not_read=unread,
        missing_pairs=data.missing_pairs,
    )


def reject(faces: Faces, records: Sequence[Record]) -> tuple[Rejection, ...]:
    """Leave out the photos of lowest quality; the false accept rate stays what it was."""
    scores = np.array([_score(record) for record in records])
    misses: dict[float, list[float]] = {far: [] for far in _REJECTION_FAR}
    for share in _REJECTED:
        limit = np.quantile(scores[faces.found], share) if faces.found.any() else 0.0
        comparisons = compare_all(
            Faces(faces.vectors, faces.found & (scores >= limit), faces.person)
        )
        for far, missed in misses.items():
            missed.append(1 - comparisons.tar(comparisons.threshold(far)))
    return tuple(
        Rejection("quality.score", far, _REJECTED, tuple(missed)) for far, missed in misses.items()
    )


def groups(
    faces: Faces,
    comparisons: Comparisons,
    values: Floats,
    bounds: Sequence[tuple[float, float]],
    worse: Callable[[float, float], float],
) -> dict[str, Estimate]:
    """Return true accepts of pairs whose worse photo falls in each group.

    At the threshold that holds the false accept rate over all photos.
    """
    threshold = comparisons.threshold(_GROUP_FAR)
    made = {}
    for low, high in bounds:
        hits, total = _pairs_within(faces, values, threshold, partial(_between, worse, low, high))
        if total:
            made[f"{low:g} to {high:g}" if high < 10_000 else f"from {low:g}"] = wilson(hits, total)
    return made


def _pairs_within(
    faces: Faces, values: Floats, threshold: float, within: Callable[[float, float], bool]
) -> tuple[int, int]:
    """Count one pair a person, the first one in the group: (accepted, all)."""
    hits = total = 0
    for person in np.unique(faces.person):
        own = np.flatnonzero(faces.found & (faces.person == person))
        pair = _first_pair(values[own], within)
        if pair is not None:
            first, second = own[pair[0]], own[pair[1]]
            hits += bool(faces.vectors[first] @ faces.vectors[second] >= threshold)
            total += 1
    return hits, total


def _between(
    worse: Callable[[float, float], float], low: float, high: float, one: float, other: float
) -> bool:
    return low <= worse(one, other) < high


def _first_pair(values: Floats, within: Callable[[float, float], bool]) -> tuple[int, int] | None:
    for second in range(1, len(values)):
        for first in range(second):
            if within(values[first], values[second]):
                return first, second
    return None


def yaws(records: Sequence[Record]) -> Floats:
    """Return how far each face is turned to the side, in degrees."""
    return np.array([abs(r.quality.pose.yaw) if r.quality else np.inf for r in records])


def sizes(records: Sequence[Record]) -> Floats:
    """Return the shorter side of each box in pixels."""
    return np.array([float(r.quality.size_px) if r.quality else np.inf for r in records])


def milliseconds(records: Sequence[Record]) -> dict[str, float]:
    """Return the median of each stage."""
    stages = sorted({stage for record in records for stage in record.milliseconds})
    return {
        stage: float(np.median([r.milliseconds[stage] for r in records if stage in r.milliseconds]))
        for stage in stages
    }


def _score(record: Record) -> float:
    if record.quality is None or record.quality.score is None:
        return 0.0
    return record.quality.score
