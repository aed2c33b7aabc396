"""Calibrations on made-up people, whose similarities follow known laws."""

import numpy as np
import pytest

from benchmarks.accuracy.fit import log_ratio, logistic, pooled, stranger_tail, stretches
from benchmarks.accuracy.held_out import held_out, reliability
from benchmarks.accuracy.scores import Faces, compare_all

DIMENSIONS, KINDS = 64, 24
"""People differ in few dimensions, so that strangers are alike now and then, as in life."""


def crowd(people: int, photos: int, seed: int, noise: float = 0.45) -> Faces:
    """People whose photos spread around a direction of their own, to all sides."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), photos)
    own = np.zeros((people, DIMENSIONS))
    own[:, :KINDS] = rng.standard_normal((people, KINDS))
    vectors = own[person] + noise * rng.standard_normal((len(person), DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Faces(vectors.astype(np.float32), np.ones(len(person), dtype=bool), person)


def test_the_tail_is_what_strangers_reach() -> None:
    compared = compare_all(crowd(200, 3, seed=1))
    tail, measured_to = stranger_tail(compared)
    assert list(tail) == sorted(tail)
    assert 3 <= measured_to <= 5
    assert compared.far(tail[8]) == pytest.approx(0.01, rel=0.1)


def test_strangers_are_more_similar_to_means() -> None:
    found = stretches([crowd(100, 6, seed=2)])
    assert found[0] == 1
    assert list(found) == sorted(found)
    assert 1.05 < found[-1] < 1.5


def test_the_likelihood_ratio_of_two_normal_laws() -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0.6, 0.1, 20_000), rng.normal(0.2, 0.1, 20_000)])
    labels = np.repeat([1.0, 0.0], 20_000)
    slope, offset = logistic(values[:, None], labels, np.ones(40_000))
    # By the book: (m1 - m0) / s^2, and (m0^2 - m1^2) / (2 s^2).
    assert slope == pytest.approx(40, rel=0.1)
    assert offset == pytest.approx(-16, rel=0.1)


def test_where_both_are_as_likely_the_ratio_is_one() -> None:
    compared = pooled([compare_all(crowd(200, 3, seed=4))])
    slope, offset = log_ratio(compared)
    even = -offset / slope
    assert slope > 0
    assert 0.2 < even < 0.8
    assert compared.tar(even) > 0.5 > compared.far(even)


def test_what_was_asked_for_holds_for_other_people() -> None:
    faces = crowd(400, 4, seed=5)
    first = faces.person < 200
    halves = (
        Faces(faces.vectors, first, faces.person),
        Faces(faces.vectors, ~first, faces.person),
    )
    found = held_out(halves)
    assert found is not None
    assert found.people == 400
    for each in found.asked:
        if each.rate >= 0.05:
            assert each.strangers == pytest.approx(each.rate, rel=0.35)
    assert found.verify.error < 0.03
    assert found.identify.error < 0.06
    more = {each.enrolled: each.recognised for each in found.asked if each.rate == 0.05}
    assert more[1] < more[2] < more[3]


def test_too_few_people_say_nothing() -> None:
    faces = crowd(8, 3, seed=6)
    assert held_out((faces, faces)) is None


def test_probabilities_that_are_too_sure_show() -> None:
    chance = np.full(1000, 0.95)
    right = (np.arange(1000) % 2).astype(float)
    found = reliability(chance, right, np.ones(1000))
    assert found.error == pytest.approx(0.45)
    assert found.expected == pytest.approx((0.95,))
    assert found.observed == pytest.approx((0.5,))
    assert found.share == (1.0,)
