"""What quality scores foretell: `python -m benchmarks.accuracy.quality <folder in LFW form>`.

Scores are learnt from the people of the other folds. Photos as they are, and photos that
were made small, blurred, dark or pale, are compared with usual photos of the same person.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.calibrate import (
    CACHE,
    WORSENED,
    calibrate,
    centred_apart,
    people_folds,
    quality_of,
)
from benchmarks.accuracy.command import new_file, run
from benchmarks.accuracy.dataset import Dataset, load_folds
from benchmarks.accuracy.extract import LIKE_A_WORKER, Record
from benchmarks.accuracy.held_out import Reliability, reliability
from benchmarks.accuracy.scores import Faces, Floats
from benchmarks.accuracy.views import extract_views, fused, stacked
from gpu_worker.calibration import TAIL_STEP, Calibration
from gpu_worker.profiles import PROFILES, Profile

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
_FARS = (1e-3, 1e-4)


@dataclass(frozen=True)
class Foretold:
    """One look at the photos.

    Attributes
    ----------
    photos : with a face.
    misses : pairs of one person that are missed, in percent of all, by false accept rate, when
        each of `SHARES` of the probes is left out.
    score : whether the score, read as a probability, is one.
    """

    look: str
    photos: int
    misses: dict[float, tuple[float, ...]]
    score: Reliability


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.quality")
    parser.add_argument("data", type=Path)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="default")
    parser.add_argument("--json", type=new_file)
    given = parser.parse_args(arguments)
    console = Console()
    data, profile = load_folds(given.data), PROFILES[given.profile]
    looks = [
        extract_views(data, profile.views, CACHE, console, look)
        for look in (LIKE_A_WORKER, *WORSENED)
    ]
    found = foretell(profile, data, looks)
    for each in found:
        console.print(_table(each))
        console.print(f"expected calibration error of the score: {each.score.error:.1%}")
    if given.json is not None:
        document = [asdict(each) for each in found]
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def foretell(profile: Profile, data: Dataset, looks: Sequence[Sequence[Record]]) -> list[Foretold]:
    """Score each look's photos by what was learnt from other people, and leave out the worst.

    Parameters
    ----------
    looks : the records of all photos as they are, then as they were made worse.
    """
    usual = fused(looks[0], data, profile)
    gallery = centred_apart(data, usual, usual, profile)
    calibration = calibrate(profile, data, usual)
    limit = calibration.tail[round(3 / TAIL_STEP)]
    fold = people_folds(data)[data.person]
    learnt = {
        number: Calibration(
            calibration.model_copy(
                update={
                    "quality": quality_of(profile, data, looks, limit, people_folds(data) != number)
                }
            )
        )
        for number in data.folds
    }
    found = []
    for name, records in zip(("as they are", "made worse"), looks, strict=False):
        probes = centred_apart(data, fused(records, data, profile), usual, profile)
        agreement = profile.agreement(stacked(records, profile.views))
        scores = np.full(len(records), -1.0)
        for index, record in enumerate(records):
            if record.quality is not None and fold[index]:
                score = learnt[int(fold[index])].quality_score(
                    record.quality, record.confidence, float(agreement[index])
                )
                scores[index] = -1.0 if score is None else score
        found.append(_foretold(name, probes, gallery, scores, fold, limit))
    return found


def _foretold(
    name: str, probes: Faces, gallery: Faces, scores: Floats, fold: Floats, limit: float
) -> Foretold:
    cosines = probes.vectors @ gallery.vectors.T
    same = probes.person[:, None] == gallery.person[None]
    seen = gallery.found[None] & ~np.eye(len(fold), dtype=bool)
    strangers = (fold[:, None] == fold[None]) & ~same & seen
    genuine = same & seen
    usable = probes.found & (scores >= 0)
    misses: dict[float, list[float]] = {far: [] for far in _FARS}
    for share in SHARES:
        kept = usable & (scores >= np.quantile(scores[usable], share))
        others = np.sort(cosines[strangers & kept[:, None]])[::-1]
        rows, columns = np.nonzero(genuine & kept[:, None])
        weight = 1.0 / np.bincount(probes.person[rows])[probes.person[rows]]
        for far, missed in misses.items():
            accepted = cosines[rows, columns] > others[int(far * len(others))]
            missed.append(float(100 * (1 - weight[accepted].sum() / weight.sum())))
    rows, columns = np.nonzero(genuine & usable[:, None])
    weight = 1.0 / np.bincount(probes.person[rows])[probes.person[rows]]
    recognised = (cosines[rows, columns] >= limit).astype(np.float64)
    return Foretold(
        look=name,
        photos=int(usable.sum()),
        misses={far: tuple(missed) for far, missed in misses.items()},
        score=reliability(scores[rows] / 100, recognised, weight),
    )


def _table(found: Foretold) -> Table:
    table = Table(title=f"{found.photos} photos {found.look}", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("% of pairs missed, worst left out")
    for share in SHARES:
        table.add_column(f"{share:.0%}", justify="right")
    for far, missed in found.misses.items():
        table.add_row(f"FAR {far:g}", *(f"{each:.2f}" for each in missed))
    return table


if __name__ == "__main__":
    sys.exit(run(main))
