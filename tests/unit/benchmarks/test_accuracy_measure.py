"""The whole report, also of folders that leave little to measure."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.accuracy.dataset import Dataset, load
from benchmarks.accuracy.extract import Record
from benchmarks.accuracy.measure import measure
from benchmarks.accuracy.report import print_report
from faces.contracts.results import FaceQuality, Pose
from gpu_worker.profiles import PLAIN
from tests.fixtures.worker_fakes import unit

QUALITY = FaceQuality(
    sharpness=50, brightness=50, pose=Pose(roll=0, yaw=5, pitch=0), size_px=90, score=90
)


def folder(tmp_path: Path, *counts: int, pairs: str = "") -> Dataset:
    """People with so many photos each."""
    for person, count in enumerate(counts):
        (tmp_path / f"P{person}").mkdir()
        for number in range(1, count + 1):
            (tmp_path / f"P{person}" / f"P{person}_{number:04d}.jpg").write_bytes(b"")
    if pairs:
        (tmp_path / "pairs.txt").write_text(pairs)
    return load(tmp_path)


def records(data: Dataset, *, faceless: bool = False) -> list[Record]:
    if faceless:
        return [Record(error="no_face")] * len(data.photos)
    made = []
    for photo, person in enumerate(data.person):
        vector = unit(int(person)) + 0.4 * unit(1000 + photo)
        unit_vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        made.append(Record(vectors={"plain": unit_vector}, quality=QUALITY, confidence=1.0))
    return made


@pytest.mark.parametrize("faceless", [False, True])
@pytest.mark.parametrize(
    ("counts", "pairs"),
    [
        ((1,), ""),
        ((2,), ""),
        ((1, 1, 1), ""),
        ((2, 1), "1\t1\nP0\t1\t2\nP0\t1\tP1\t1\n"),
        ((3, 2, 2, 1), "10\t300\nP0\t1\t2\nP1\t1\t2\nNobody\t1\t2\n"),
    ],
)
def test_little_is_measured_without_a_fault(
    tmp_path: Path, counts: tuple[int, ...], pairs: str, faceless: bool
) -> None:
    data = folder(tmp_path, *counts, pairs=pairs)
    report = measure(PLAIN, data, records(data, faceless=faceless), 0.01, tmp_path / "plots")
    print_report(report, Console(quiet=True))
    document = json.loads(json.dumps(report.document(), allow_nan=False))
    assert document["counts"]["photos"] == sum(counts)
    assert document["counts"]["missing_pairs"] == pairs.count("Nobody")
    assert (document["pairs"] is None) == (not pairs)


def test_every_protocol_is_in_the_document(tmp_path: Path) -> None:
    data = folder(
        tmp_path, *[4] * 40, pairs="2\t1\nP0\t1\t2\nP0\t1\tP1\t1\nP2\t1\t2\nP2\t1\tP3\t1\n"
    )
    report = measure(PLAIN, data, records(data), 0.01, tmp_path / "plots")
    print_report(report, Console(quiet=True))
    document = json.loads(json.dumps(report.document(), allow_nan=False))
    assert document["pairs"]["accuracy"]["value"] == 1
    assert set(document["tar_all"]) == {"0.1", "0.01", "0.001", "0.0001"}
    assert set(document["open_set"]["dir_at"]) == {"0.01", "0.001"}
    assert {"0.01", "0.05", "0.0419"} <= set(document["seed"]["at_far"])
    shares = document["seed"]["at_far"]["0.05"]
    assert {"recognised", "wrong_person", "no_match", "not_detected", "not_enrolled"} < set(shares)
    assert {"value", "low", "high", "count"} == set(shares["recognised"])
    assert document["counts"]["not_detected"]["value"] == 0
    drawn = document["seed"]["halves"]
    assert (drawn["draws"], drawn["frr_at_far"]["0.0419"][0]) == (20, 0)
    assert set(drawn["far_at_frr"]) == {"0.0643"}
    assert document["held_out"]["verify"]["error"] < 0.2
    assert len(document["held_out"]["asked"]) == 9
    plots = {file.name for file in (tmp_path / "plots").iterdir()}
    assert plots == {"roc.png", "det.png", "rejection.png", "reliability.png"}
