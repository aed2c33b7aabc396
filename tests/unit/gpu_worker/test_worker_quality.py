"""Quality reacts to blur, light, size and pose, and the filters rise in strictness."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from faces.contracts.jobs import QualityFilter
from faces.contracts.results import Box, FaceQuality, PoorReason, Pose
from gpu_worker.backends.base import FloatArray, RgbImage
from gpu_worker.pose import _HEAD, head_pose
from gpu_worker.quality import LIMITS, measure, poor_reasons
from tests.fixtures.photos import public_photo

BOX = Box(left=0, top=0, right=100, bottom=120)
FRONTAL = np.array([[35, 45], [65, 45], [50, 65], [38, 80], [62, 80]], dtype=np.float32)
GOOD = FaceQuality(
    sharpness=60, brightness=50, pose=Pose(roll=0, yaw=0, pitch=0), size_px=120, reasons=()
)


def face() -> RgbImage:
    crop = Image.fromarray(public_photo("astronaut")[40:190, 160:290])
    return np.asarray(crop.resize((160, 160)))


def test_blur_lowers_sharpness() -> None:
    values = [
        measure(
            np.asarray(Image.fromarray(face()).filter(ImageFilter.GaussianBlur(radius))),
            BOX,
            FRONTAL,
        ).sharpness
        for radius in (0, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > 40
    assert values[-1] < 10


def test_brightness_spans_black_to_white() -> None:
    for grey, expected in ((0, 0), (255, 100), (51, 20)):
        crop = np.full((160, 160, 3), grey, dtype=np.uint8)
        quality = measure(crop, BOX, FRONTAL)
        assert quality.brightness == pytest.approx(expected, abs=0.1)
        assert quality.sharpness == pytest.approx(0, abs=0.1)


def test_size_is_the_shorter_side() -> None:
    assert measure(face(), BOX, FRONTAL).size_px == 100


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sharpness": 5.0}, PoorReason.LOW_SHARPNESS),
        ({"brightness": 5.0}, PoorReason.LOW_BRIGHTNESS),
        ({"brightness": 99.0}, PoorReason.HIGH_BRIGHTNESS),
        ({"size_px": 15}, PoorReason.SMALL_BOUNDING_BOX),
        ({"pose": Pose(roll=0, yaw=-70, pitch=0)}, PoorReason.EXTREME_POSE),
        ({"pose": Pose(roll=0, yaw=0, pitch=65)}, PoorReason.EXTREME_POSE),
    ],
)
def test_each_defect_has_its_reason(change: dict[str, object], reason: PoorReason) -> None:
    poor = GOOD.model_copy(update=change)
    for level in QualityFilter:
        assert poor_reasons(poor, 0.999, level) == (reason,)


def test_a_good_face_has_no_reason_and_roll_is_none() -> None:
    rolled = GOOD.model_copy(update={"pose": Pose(roll=90, yaw=0, pitch=0)})
    for level in QualityFilter:
        assert poor_reasons(GOOD, 1.0, level) == ()
        assert poor_reasons(rolled, 1.0, level) == ()
        assert poor_reasons(GOOD, 0.5, level) == (PoorReason.LOW_CONFIDENCE,)


def test_each_filter_is_stricter_than_the_one_before() -> None:
    low, medium, high = (
        astuple(LIMITS[level])
        for level in (QualityFilter.LOW, QualityFilter.MEDIUM, QualityFilter.HIGH)
    )
    rises = (True, True, True, True, False, False)
    for number, rising in enumerate(rises):
        values = [low[number], medium[number], high[number]]
        assert values == sorted(set(values), reverse=not rising)


def turned(roll: float, yaw: float, pitch: float, scale: float) -> FloatArray:
    """Landmarks of the average head, turned and photographed from far away."""
    r, y, p = (math.radians(angle) for angle in (roll, yaw, pitch))
    sideways = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    nod = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    tilt = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    points = _HEAD @ (tilt @ sideways @ nod).T
    landmarks: FloatArray = (points[:, :2] * scale + 300).astype(np.float32)
    return landmarks


@given(
    roll=st.floats(-170, 170),
    yaw=st.floats(-60, 60),
    pitch=st.floats(-60, 60),
    scale=st.floats(0.2, 10),
)
def test_the_pose_of_a_turned_head(roll: float, yaw: float, pitch: float, scale: float) -> None:
    pose = head_pose(turned(roll, yaw, pitch, scale))
    assert pose.roll == pytest.approx(roll, abs=0.5)
    assert pose.yaw == pytest.approx(yaw, abs=0.5)
    assert pose.pitch == pytest.approx(pitch, abs=0.5)


def test_signs_of_the_pose() -> None:
    nose_to_the_right, nose_up = FRONTAL.copy(), FRONTAL.copy()
    nose_to_the_right[2, 0] += 8
    nose_up[2, 1] -= 8
    assert head_pose(nose_to_the_right).yaw > 10
    assert head_pose(nose_up).pitch > head_pose(FRONTAL).pitch + 5
    clockwise = FRONTAL.copy()
    clockwise[[1, 4], 1] += 10
    assert head_pose(clockwise).roll > 5


def test_points_that_coincide_have_no_pose() -> None:
    assert head_pose(np.full((5, 2), 7, dtype=np.float32)) == Pose(roll=0, yaw=0, pitch=0)
