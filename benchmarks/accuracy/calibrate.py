"""Calibrate every profile: `python -m benchmarks.accuracy.calibrate <folder in LFW form>`.

Writes `gpu_worker/calibration/<crop version>.json`. The people of one fold of the pairs are
compared with vectors whose centre comes from the others, so that no threshold rests on
people the centre was taken from.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.accuracy.command import run
from benchmarks.accuracy.dataset import Dataset, load_folds
from benchmarks.accuracy.extract import LIKE_A_WORKER, Look, Record
from benchmarks.accuracy.fit import (
    log_ratio,
    pooled,
    quality_weights,
    stranger_tail,
    stretches,
)
from benchmarks.accuracy.scores import Faces, Floats, Mask, compare_all
from benchmarks.accuracy.views import extract_views, fused, stacked
from gpu_worker.backends.base import FloatArray
from gpu_worker.calibration import TAIL_STEP, CalibrationData, calibration_path, quality_signs
from gpu_worker.profiles import PROFILES, Profile

CACHE = Path(__file__).resolve().parents[2] / ".local" / "accuracy"
WORSENED = (Look(worsened=1),)
"""Looks from which quality scores learn what worse photos do, beside the usual one."""

_QUALITY_FAR = 1e-3


def main(arguments: list[str]) -> int:
    """Measure and write the calibration of each profile."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.calibrate")
    parser.add_argument("data", type=Path, help="folder in LFW's form, with pairs.txt")
    console = Console()
    data = load_folds(parser.parse_args(arguments).data)
    for profile in PROFILES.values():
        scored = len(profile.views) > 1
        looks = [
            extract_views(data, profile.views, CACHE, console, look)
            for look in (LIKE_A_WORKER, *(WORSENED if scored else ()))
        ]
        faces = fused(looks[0], data, profile)
        made = calibrate(profile, data, faces)
        if scored:
            limit = made.tail[round(-np.log10(_QUALITY_FAR) / TAIL_STEP)]
            weights = quality_of(profile, data, looks, limit, people_folds(data) >= 0)
            made = made.model_copy(update={"quality": weights})
        path = calibration_path(profile.crop_version)
        path.parent.mkdir(exist_ok=True)
        path.write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
        console.print(
            f"{path.name}: tail {[round(each, 3) for each in made.tail[4:29:4]]}, "
            f"stretch {made.stretch}, quality {made.quality}"
        )
    return 0


def calibrate(profile: Profile, data: Dataset, faces: Faces) -> CalibrationData:
    """Return what the profile's similarities mean.

    Parameters
    ----------
    faces : with vectors as the profile gives them before anything is taken away.
    """
    parts = halves(data, faces, centred=profile.centred)
    whole = pooled([compare_all(part) for part in parts])
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
        stretch=stretches(parts),
        slope=round(slope, 3),
        offset=round(offset, 3),
    )


def quality_of(
    profile: Profile,
    data: Dataset,
    looks: Sequence[Sequence[Record]],
    limit: float,
    people: Mask,
) -> tuple[float, ...]:
    """Return the weights of `gpu_worker.calibration.quality_signs`, learnt from some people.

    Parameters
    ----------
    looks : the records of all photos as they are, then as they were made worse.
    limit : the similarity from which a face counts as recognised.
    """
    usual = fused(looks[0], data, profile)
    faces = centred_apart(data, usual, usual, profile)
    rows, persons, cosines = [], [], []
    for records in looks:
        probes = centred_apart(data, fused(records, data, profile), usual, profile)
        agreement = profile.agreement(stacked(records, profile.views))
        here = [
            index
            for index, record in enumerate(records)
            if record.quality is not None and people[data.person[index]]
        ]
        compared = probes.vectors[here] @ faces.vectors.T
        # A photo says nothing about itself, in whatever look.
        compared[np.arange(len(here)), here] = np.nan
        rows += [_signs(records[index], float(agreement[index])) for index in here]
        persons.append(data.person[here])
        cosines.append(compared)
    return quality_weights(
        np.stack(rows).astype(np.float64),
        np.concatenate(persons),
        np.concatenate(cosines).astype(np.float64),
        faces,
        limit,
    )


def halves(
    data: Dataset, faces: Faces, *, centred: bool, reference: Faces | None = None
) -> list[Faces]:
    """Return the faces of each fold's people, the mean of the other people taken away.

    Parameters
    ----------
    reference : faces whose mean it is, where it is not that of these.
    """
    fold = people_folds(data)
    parts = []
    for number in data.folds:
        held = fold == number
        here = faces.found & held[faces.person]
        vectors = faces.vectors
        if centred:
            moved = vectors - mean_person(faces if reference is None else reference, ~held)
            vectors = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        parts.append(Faces(np.where(here[:, None], vectors, 0), here, faces.person))
    return parts


def centred_apart(data: Dataset, faces: Faces, reference: Faces, profile: Profile) -> Faces:
    """Return faces from which the mean of the other folds' people is taken away, see `halves`."""
    parts = halves(data, faces, centred=profile.centred, reference=reference)
    return Faces(
        np.sum([part.vectors for part in parts], axis=0),
        np.any([part.found for part in parts], axis=0),
        parts[0].person,
    )


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


def _signs(record: Record, agreement: float) -> FloatArray:
    assert record.quality is not None
    return quality_signs(record.quality, record.confidence, agreement)


if __name__ == "__main__":
    sys.exit(run(main))
