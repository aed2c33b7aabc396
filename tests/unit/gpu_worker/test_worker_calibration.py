"""Thresholds and probabilities that follow from the shipped calibrations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faces.contracts.results import FaceQuality, Pose
from gpu_worker.calibration import (
    LEAST_GALLERY,
    TAIL_STEP,
    comparison_rate,
    load_calibration,
    quality_signs,
)
from gpu_worker.profiles import PROFILES

FACE = FaceQuality(
    sharpness=50, brightness=45, pose=Pose(roll=0, yaw=0, pitch=0), size_px=92, reasons=()
)
RATES = st.floats(1e-6, 0.5)
NAMES = st.sampled_from(sorted(PROFILES))


def test_every_profile_is_calibrated() -> None:
    versions = [profile.crop_version for profile in PROFILES.values()]
    assert len(set(versions)) == len(versions)
    for profile in PROFILES.values():
        data = load_calibration(profile.crop_version).data
        assert data.crop_version == profile.crop_version
        assert len(data.centre) == (512 if profile.centred else 0)
        signs = quality_signs(FACE, 0.999, 0.99)
        assert len(data.quality) == (len(signs) + 1 if len(profile.views) > 1 else 0)
        assert list(data.stretch) == sorted(data.stretch)
        assert data.stretch[0] == 1
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
    assert calibration.identify_threshold(0.01, 3) == pytest.approx(
        calibration.verify_threshold(comparison_rate(0.01, LEAST_GALLERY))
    )


@given(rate=RATES, people=st.integers(1, 10**6))
def test_many_comparisons_err_together_as_often_as_asked(rate: float, people: int) -> None:
    together = -math.expm1(people * math.log1p(-comparison_rate(rate, people)))
    assert together == pytest.approx(rate, rel=1e-6)


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


def test_means_of_several_faces_need_more_similarity() -> None:
    """Strangers are more similar to a mean; a person with many photos draws no more of them."""
    calibration = load_calibration(PROFILES["default"].crop_version)
    limits = [calibration.identify_threshold(0.01, 5000, faces) for faces in range(1, 9)]
    assert limits == sorted(limits)
    assert limits[0] * calibration.data.stretch[1] == pytest.approx(limits[1])
    assert limits[-1] == limits[len(calibration.data.stretch) - 1]
    assert calibration.same_probability(0.45, faces=5) < calibration.same_probability(0.45)


def test_probability_depends_on_how_many_could_be_meant() -> None:
    calibration = load_calibration(PROFILES["default"].crop_version)
    [few], [many] = (calibration.match_probabilities([0.6], people) for people in (3, 30_000))
    assert few > 0.9 > 0.5 > many


@pytest.mark.parametrize("name", ["default", "accurate"])
def test_quality_falls_with_each_sign_of_trouble(name: str) -> None:
    calibration = load_calibration(PROFILES[name].crop_version)

    def score(agreement: float = 0.99, **change: object) -> float:
        found = calibration.quality_score(FACE.model_copy(update=change), 0.999, agreement)
        assert found is not None
        return found

    assert 90 < score() <= 100
    assert score() > score(0.97) > score(0.9) > score(0.7) > 0
    assert score() > score(sharpness=20.0) > score(sharpness=5.0)
    assert score() >= score(size_px=50) >= score(size_px=20)
    assert score() >= score(brightness=5.0)
    assert score() >= score(pose=Pose(roll=0, yaw=40, pitch=0))
    assert load_calibration(PROFILES["plain"].crop_version).quality_score(FACE, 1, 1) is None


def test_looking_down_alone_is_no_trouble() -> None:
    """A smile moves the corners of the mouth as a nod does; it foretold next to nothing."""
    calibration = load_calibration(PROFILES["default"].crop_version)
    down = FACE.model_copy(update={"pose": Pose(roll=0, yaw=0, pitch=-18)})
    assert calibration.quality_score(down, 0.999, 0.99) == calibration.quality_score(
        FACE, 0.999, 0.99
    )
