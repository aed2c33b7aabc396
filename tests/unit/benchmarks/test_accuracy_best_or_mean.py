"""The comparison of best face and mean counts what it says."""

import numpy as np
import pytest

from benchmarks.accuracy.best_or_mean import RATES, WAYS, mean, measure, table
from benchmarks.accuracy.dataset import DatasetError
from benchmarks.accuracy.scores import Faces, Floats
from gpu_worker.backends.base import FloatArray


def faces(noise: float, *, strangers: int = 40, people: int = 12) -> Faces:
    """People of six photos each around a direction of their own, and people of one photo."""
    random = np.random.default_rng(1)

    def around(direction: Floats) -> FloatArray:
        vector = direction + noise * random.standard_normal(512) / np.sqrt(512)
        unit: FloatArray = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit

    vectors, person = [], []
    for number in range(people + strangers):
        direction = random.standard_normal(512)
        direction /= np.linalg.norm(direction)
        for _ in range(6 if number < people else 1):
            vectors.append(around(direction))
            person.append(number)
    return Faces(np.stack(vectors), np.ones(len(vectors), dtype=np.bool_), np.array(person))


def test_clean_faces_are_all_found_either_way() -> None:
    row = measure(faces(0.1), enrolled=2, draws=3)
    assert row.people == 12
    assert set(row.right) == {(way, rate) for way in WAYS for rate in RATES}
    for shares in row.right.values():
        assert shares.tolist() == [1, 1, 1]


def test_the_mean_is_better_where_single_photos_err_by_chance() -> None:
    row = measure(faces(3.0), enrolled=5, draws=5)
    assert row.right["mean", 0.01].mean() > row.right["best face", 0.01].mean() + 0.05


def test_who_has_no_face_counts_for_nothing() -> None:
    some = faces(0.1)
    found = some.found.copy()
    found[0] = False
    row = measure(Faces(some.vectors, found, some.person), enrolled=2, draws=2)
    assert row.right["mean", 0.01].tolist() == [1, 1]


def test_too_few_people_are_told() -> None:
    with pytest.raises(DatasetError, match="too few people"):
        measure(faces(0.1, people=0), enrolled=2, draws=1)


def test_the_mean_has_unit_length() -> None:
    assert np.linalg.norm(mean(faces(2.0).vectors[:4])) == pytest.approx(1)


def test_the_table_has_a_row_a_number_of_faces() -> None:
    made = table([measure(faces(0.1), enrolled, draws=2) for enrolled in (2, 3)])
    assert (made.row_count, len(made.columns)) == (2, 1 + len(WAYS) * len(RATES))
