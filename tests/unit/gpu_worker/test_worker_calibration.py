"""Thresholds and probabilities that follow from the shipped calibrations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_worker.calibration import LEAST_GALLERY, TAIL_STEP, load_calibration
from gpu_worker.profiles import PROFILES

RATES = st.floats(1e-6, 0.5)
NAMES = st.sampled_from(sorted(PROFILES))


def test_every_profile_is_calibrated() -> None:
    versions = [profile.crop_version for profile in PROFILES.values()]
    assert len(set(versions)) == len(versions)
    for profile in PROFILES.values():
        data = load_calibration(profile.crop_version).data
        assert data.crop_version == profile.crop_version
        assert len(data.centre) == (512 if profile.centred else 0)
        assert len(data.agreement) == (101 if len(profile.views) > 1 else 0)
        assert list(data.tail) == sorted(data.tail)
        assert data.slope > 0


def test_an_unknown_crop_version_is_never_compared() -> None:
    with pytest.raises(FileNotFoundError):
        load_calibration("never-made")


@settings(max_examples=50, deadline=None)
@given(name=NAMES, rate=RATES, more=RATES, faces=st.integers(1, 10**6))
def test_fewer_false_accepts_and_more_faces_need_more_similarity(
    name: str, rate: float, more: float, faces: int
) -> None:
    calibration = load_calibration(PROFILES[name].crop_version)
    low, high = sorted([rate, more])
    assert calibration.verify_threshold(low) >= calibration.verify_threshold(high)
    threshold = calibration.identify_threshold(rate, faces)
    assert calibration.identify_threshold(rate, 2 * faces) >= threshold
    assert -1 <= calibration.verify_threshold(rate) <= threshold <= 1


def test_a_threshold_is_read_off_the_tail() -> None:
    calibration = load_calibration(PROFILES["default"].crop_version)
    at = round(3 / TAIL_STEP)
    assert calibration.verify_threshold(1e-3) == pytest.approx(calibration.data.tail[at])


def test_small_galleries_count_as_larger_ones() -> None:
    calibration = load_calibration(PROFILES["default"].crop_version)
    assert calibration.identify_threshold(0.01, 3) == calibration.identify_threshold(
        0.01, LEAST_GALLERY
    )
    one = 1 - (1 - 0.01) ** (1 / LEAST_GALLERY)
    assert calibration.identify_threshold(0.01, 3) == pytest.approx(
        calibration.verify_threshold(one)
    )


@settings(max_examples=50, deadline=None)
@given(
    name=NAMES,
    similarities=st.lists(st.floats(-1, 1), max_size=10),
    faces=st.integers(0, 10**6),
)
def test_probabilities_are_shares(name: str, similarities: list[float], faces: int) -> None:
    calibration = load_calibration(PROFILES[name].crop_version)
    chances = calibration.match_probabilities(similarities, faces)
    assert all(0 <= chance <= 1 for chance in chances)
    assert sum(chances) <= 1 + 1e-9
    order = np.argsort(similarities, kind="stable")
    assert list(np.array(chances)[order]) == sorted(chances)
    assert all(0 <= calibration.same_probability(each) <= 1 for each in similarities)


def test_even_similarity_is_even_probability() -> None:
    calibration = load_calibration(PROFILES["default"].crop_version)
    assert calibration.same_probability(calibration.even_threshold) == pytest.approx(0.5)
    assert math.isclose(calibration.same_probability(1.0), 1.0, abs_tol=1e-3)


def test_quality_is_the_worse_sign() -> None:
    calibration = load_calibration(PROFILES["default"].crop_version)
    agreement, pitch = calibration.data.agreement, calibration.data.pitch
    assert calibration.quality_score(1.0, 90) == 100
    assert calibration.quality_score(agreement[5], 90) == pytest.approx(5, abs=0.5)
    assert calibration.quality_score(1.0, pitch[10]) == pytest.approx(10, abs=0.5)
    assert load_calibration(PROFILES["plain"].crop_version).quality_score(1.0, 0) is None
