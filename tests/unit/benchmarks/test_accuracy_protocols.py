"""The protocols on made-up people whose right answers are known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.accuracy.dataset import Dataset, Pair
from benchmarks.accuracy.intervals import bootstrap, wilson
from benchmarks.accuracy.protocols import (
    best_threshold,
    open_set,
    outcomes,
    search,
    seed_protocol,
    split,
    tar_of_all,
    verify_pairs,
)
from benchmarks.accuracy.scores import Faces, compare_all, stack
from gpu_worker.backends.base import FloatArray

PEOPLE = 12


def unit(rng: np.random.Generator) -> FloatArray:
    vector = rng.standard_normal(512).astype(np.float32)
    made: FloatArray = vector / np.linalg.norm(vector)
    return made


def dataset(photos_each: int = 2, folds: int = 2) -> Dataset:
    person = np.repeat(np.arange(PEOPLE), photos_each)
    names = tuple(f"P{number:02d}" for number in range(PEOPLE))
    ordered = {name: [int(i) for i in np.flatnonzero(person == n)] for n, name in enumerate(names)}
    pairs = tuple(
        Pair(photos_each * n, other, same, n % folds + 1)
        for n in range(PEOPLE)
        for other, same in (
            (photos_each * n + 1, True),
            (photos_each * ((n + folds) % PEOPLE), False),
        )
    )
    return Dataset(tuple(map(Path, map(str, person))), names, person, pairs, ordered)


def perfect(data: Dataset) -> Faces:
    """Photos of one person are all but the same, others at right angles."""
    rng = np.random.default_rng(1)
    centres = [unit(rng) for _ in data.people]
    rows = [centres[p] + 0.02 * unit(rng) for p in data.person]
    return stack([row / np.linalg.norm(row) for row in rows], data.person)


def test_perfect_faces_make_no_error() -> None:
    data = dataset()
    faces = perfect(data)
    pairs = verify_pairs(data, faces, 0.5)
    assert (pairs.accuracy.value, pairs.fixed.value, pairs.mean) == (1, 1, 1)
    assert pairs.tar[1e-1] is not None
    assert pairs.tar[1e-1].value == 1
    assert pairs.tar[1e-4] is None  # 12 pairs of two people say nothing about 1 in 10,000
    seed = seed_protocol(data, faces, 0.5)
    assert (seed.rank1.value, seed.equal_error) == (1, 0)
    assert seed.at_shipped.frr == 0
    assert seed.at_shipped.false_accepts.value == 0
    assert all(found.value == 1 for _, found in open_set(data, faces).dir_at.values())
    assert all(tar.value == 1 for tar in tar_of_all(compare_all(faces), PEOPLE).values())


def test_photos_without_a_face_are_counted_apart() -> None:
    data = dataset()
    whole = perfect(data)
    found = whole.found.copy()
    found[[0, 3]] = False  # the first photo of P00, the second of P01
    faces = Faces(np.where(found[:, None], whole.vectors, 0), found, data.person)
    result = seed_protocol(data, faces, 0.5)
    shares = result.at_shipped
    assert shares.not_enrolled.value == shares.not_detected.value == pytest.approx(1 / PEOPLE)
    assert shares.no_match.value == 0
    assert shares.wrong_person.value == 0
    assert shares.frr == pytest.approx(2 / PEOPLE)
    # A missing face makes a pair of one person wrong, not one of two people.
    assert verify_pairs(data, faces, 0.5).fixed.value == pytest.approx(1 - 2 / (2 * PEOPLE))


def test_a_wrong_person_is_no_missing_match() -> None:
    data = dataset()
    faces = perfect(data)
    faces.vectors[1] = faces.vectors[2]  # P00's probe is P01's enrolled photo
    result = seed_protocol(data, faces, 0.5).at_shipped
    assert result.wrong_person.value == pytest.approx(1 / PEOPLE)
    assert result.no_match.value == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), threshold=st.floats(-1, 1))
def test_the_ends_of_a_probe_add_up(seed: int, threshold: float) -> None:
    data = dataset()
    rng = np.random.default_rng(seed)
    vectors = [None if rng.random() < 0.2 else unit(rng) for _ in data.person]
    vectors[0] = unit(rng)
    faces = stack(vectors, data.person)
    known = search(faces, data.first, data.second)
    ends = outcomes(known, known, threshold)
    total = (
        ends.recognised.value
        + ends.wrong_person.value
        + ends.no_match.value
        + ends.not_detected.value
        + ends.not_enrolled.value
    )
    assert total == pytest.approx(1) if threshold > -1 else total > 0


def test_halves_are_the_same_each_time() -> None:
    data = dataset()
    assert (split(data) == split(data)).all()
    assert split(data).sum() == PEOPLE // 2


@settings(max_examples=50, deadline=None)
@example([(1.0, False)])
@given(st.lists(st.tuples(st.floats(-1, 1, width=32), st.booleans()), min_size=1, max_size=40))
def test_the_best_threshold_is_best(drawn: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in drawn])
    same = np.array([label for _, label in drawn])
    found = ((scores >= best_threshold(scores, same)) == same).sum()
    tries = [*scores, 1.5]
    best = max(((scores >= each) == same).sum() for each in tries)
    # Equal scores cannot be told apart by a threshold between them.
    assert found == best or len(set(scores)) < len(scores)


def test_all_pairs_are_counted_once() -> None:
    data = dataset(photos_each=3)
    comparisons = compare_all(perfect(data))
    photos = 3 * PEOPLE
    assert len(comparisons.genuine) == 3 * PEOPLE
    assert comparisons.strangers.sum() == photos * (photos - 1) // 2 - 3 * PEOPLE
    assert comparisons.weight.sum() == pytest.approx(1)
    assert comparisons.far(-1) == 1
    assert comparisons.far(comparisons.threshold(0.01)) <= 0.01


def test_wilson_by_the_book() -> None:
    # Newcombe 1998, table I: 15 of 148.
    found = wilson(15, 148)
    assert found.low == pytest.approx(0.0624, abs=1e-4)
    assert found.high == pytest.approx(0.1605, abs=1e-4)
    assert wilson(0, 0).count == 0


def test_bootstrap_covers_a_mean() -> None:
    values = np.random.default_rng(3).normal(5, 1, 400)
    low, high = bootstrap(lambda drawn: float(np.average(values, weights=drawn)), 400)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.25)
