"""Calibrate every profile: `python -m benchmarks.accuracy.calibrate <folder in LFW form>`.

Writes `gpu_worker/calibration/<crop version>.json`. The people of one fold of the pairs are
compared with vectors whose centre comes from the others, so that no threshold rests on
people the centre was taken from.
"""

import argparse
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
from rich.console import Console

from benchmarks.accuracy.dataset import Dataset, load
from benchmarks.accuracy.scores import Comparisons, Faces, Floats, Mask, compare_all
from benchmarks.accuracy.views import extract_views, fused, stacked
from gpu_worker.backends.base import FloatArray
from gpu_worker.calibration import TAIL_STEP, CalibrationData, calibration_path
from gpu_worker.profiles import PROFILES, Profile

CACHE = Path(__file__).resolve().parents[2] / ".local" / "accuracy"

_TAIL_END = 9.0
_LEAST_COUNT = 15
"""Fewer comparisons above a similarity say too little about how rare it is."""
_FIT_FROM = 2.5
_ITERATIONS = 50


def main(arguments: list[str]) -> int:
    """Measure and write the calibration of each profile."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.calibrate")
    parser.add_argument("data", type=Path, help="folder in LFW's form, with pairs.txt")
    console = Console()
    data = load(parser.parse_args(arguments).data)
    profiles = PROFILES.values()
    views = [view for profile in profiles for view in profile.views]
    records = extract_views(data, views, CACHE, console)
    for profile in profiles:
        faces = fused(records, data, profile)
        agreement = profile.agreement(stacked(records, profile.views)[faces.found])
        pitch = np.array([r.quality.pose.pitch for r in records if r.quality], dtype=np.float32)
        made = calibrate(profile, data, faces)
        if len(profile.views) > 1:
            signs = {"agreement": _percentiles(agreement), "pitch": _percentiles(pitch)}
            made = made.model_copy(update=signs)
        path = calibration_path(profile.crop_version)
        path.parent.mkdir(exist_ok=True)
        path.write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
        console.print(f"{path.name}: tail {[round(each, 3) for each in made.tail[4:29:4]]}")
    return 0


def calibrate(profile: Profile, data: Dataset, faces: Faces) -> CalibrationData:
    """Return what the profile's similarities mean.

    Parameters
    ----------
    faces : with vectors as the profile gives them before anything is taken away.
    """
    parts = [compare_all(part) for part in halves(data, faces, centred=profile.centred)]
    strangers = sum(part.strangers for part in parts)
    whole = Comparisons(
        np.concatenate([part.genuine for part in parts]),
        np.concatenate([part.owner for part in parts]),
        np.concatenate([part.weight for part in parts]) / len(parts),
        parts[0].edges,
        np.asarray(strangers, dtype=np.int64),
    )
    tail, measured_to = stranger_tail(whole)
    slope, offset = log_ratio(whole)
    centre = mean_person(faces, np.ones(len(data.people), dtype=bool))
    return CalibrationData(
        crop_version=profile.crop_version,
        source=f"LFW, folds {' and '.join(map(str, data.folds))}",
        people=len(data.people),
        photos=int(faces.found.sum()),
        centre=tuple(round(float(x), 6) for x in centre) if profile.centred else (),
        tail=tail,
        measured_to=measured_to,
        slope=round(slope, 3),
        offset=round(offset, 3),
    )


def _percentiles(values: FloatArray) -> tuple[float, ...]:
    return tuple(round(float(each), 5) for each in np.percentile(values, np.arange(101)))


def halves(data: Dataset, faces: Faces, *, centred: bool) -> list[Faces]:
    """Return the faces of each fold's people, the mean of the other people taken away."""
    fold = people_folds(data)
    parts = []
    for number in data.folds:
        held = fold == number
        here = faces.found & held[faces.person]
        vectors = faces.vectors
        if centred:
            moved = vectors - mean_person(faces, ~held)
            vectors = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        parts.append(Faces(np.where(here[:, None], vectors, 0), here, faces.person))
    return parts


def people_folds(data: Dataset) -> Floats:
    """Return the fold of each person; LFW's folds share nobody. 0 for those in none."""
    fold = np.zeros(len(data.people))
    for pair in data.pairs:
        fold[data.person[pair.first]] = fold[data.person[pair.second]] = pair.fold
    return fold


def mean_person(faces: Faces, people: Mask) -> FloatArray:
    """Return the (512,) mean of these people's mean vectors: each person counts alike."""
    used = faces.found & people[faces.person]
    person = faces.person[used]
    weight = 1.0 / np.bincount(person)[person]
    mean: FloatArray = np.average(faces.vectors[used], axis=0, weights=weight).astype(np.float32)
    return mean


def stranger_tail(comparisons: Comparisons) -> tuple[tuple[float, ...], float]:
    """Return the similarity that a share 10^-x of strangers' pairs reaches, and where x stops
    being counted.

    Beyond that the tail goes on like a normal distribution's, whose mean and spread fit what
    was counted from 10^-2.5 on.
    """
    total = int(comparisons.strangers.sum())
    measured_to = TAIL_STEP * int(np.log10(total / _LEAST_COUNT) / TAIL_STEP)
    exponents = np.arange(0, _TAIL_END + TAIL_STEP / 2, TAIL_STEP)
    counted = exponents <= measured_to
    values = np.array([comparisons.threshold(10.0**-x) for x in exponents[counted]])
    deviates = np.array(
        [-NormalDist().inv_cdf(max(1e-12, 10.0**-x) if x else 0.5) for x in exponents]
    )
    used = counted & (exponents >= min(_FIT_FROM, measured_to - 1))
    slope = np.polyfit(deviates[used], values[used[counted]], 1)[0]
    beyond = values[-1] + slope * (deviates[~counted] - deviates[counted][-1])
    tail = np.concatenate([values, beyond]).clip(-1, 1)
    return tuple(round(float(each), 4) for each in tail), float(measured_to)


def log_ratio(comparisons: Comparisons) -> tuple[float, float]:
    """Return slope and offset of the logarithm of the likelihood ratio of one person to two.

    By logistic regression in which both kinds of pairs weigh the same (Platt 1999).
    """
    middle = comparisons.edges + (comparisons.edges[1] - comparisons.edges[0]) / 2
    used = comparisons.strangers > 0
    values = np.concatenate([comparisons.genuine, middle[used]])
    labels = np.concatenate([np.ones(len(comparisons.genuine)), np.zeros(int(used.sum()))])
    counts = comparisons.strangers[used]
    weights = np.concatenate([comparisons.weight, counts / counts.sum()])
    inputs = np.stack([values, np.ones_like(values)], axis=1)
    theta = np.array([20.0, -8.0])
    for _ in range(_ITERATIONS):
        chance = 1 / (1 + np.exp(-inputs @ theta))
        slope = inputs.T @ (weights * (labels - chance))
        curve = (inputs * (weights * chance * (1 - chance))[:, None]).T @ inputs
        theta = theta + np.linalg.solve(curve + 1e-9 * np.eye(2), slope)
    return float(theta[0]), float(theta[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
