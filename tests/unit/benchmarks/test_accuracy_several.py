"""Several photos of a person, also where their quality decides."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy.extract import Record
from benchmarks.accuracy.scores import Faces
from benchmarks.accuracy.several import several_photos
from faces.contracts.results import FaceQuality, Pose
from tests.fixtures.worker_fakes import unit

PEOPLE = 30
QUALITY = FaceQuality(
    sharpness=50, brightness=50, pose=Pose(roll=0, yaw=0, pitch=0), size_px=90, score=90
)


def faces_and_records() -> tuple[Faces, list[Record]]:
    """Four photos each; the first shows nothing of the person, and its score says so."""
    vectors, records = [], []
    for person in range(PEOPLE):
        for photo in range(4):
            noise = unit(1000 + 4 * person + photo)
            vector = noise if photo == 0 else unit(person) + 0.2 * noise
            vectors.append(vector / np.linalg.norm(vector))
            score = 5.0 if photo == 0 else 95.0
            records.append(Record(quality=QUALITY.model_copy(update={"score": score})))
    whose = np.repeat(np.arange(PEOPLE), 4)
    found = np.ones(len(whose), dtype=bool)
    return Faces(np.array(vectors, dtype=np.float32), found, whose), records


def test_the_best_of_two_photos_is_taken_by_its_score() -> None:
    faces, records = faces_and_records()
    found = several_photos([faces], records)
    assert found.people == PEOPLE
    one, two, _ = found.misses["the one of best quality"]
    assert one > 0.8 > 0.1 > two


def test_photos_without_scores_are_not_weighed() -> None:
    """A single view has no score; all counting alike would look like a figure."""
    faces, records = faces_and_records()
    records[3] = replace(records[3], quality=QUALITY.model_copy(update={"score": None}))
    with pytest.raises(ValueError, match="no quality scores"):
        several_photos([faces], records)
