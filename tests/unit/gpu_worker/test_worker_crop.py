"""Crops: margin, edges, and boxes that lie outside."""

import numpy as np
import pytest

from faces.contracts.results import Box
from gpu_worker.backends.base import RgbImage
from gpu_worker.crop import (
    CROP_PX,
    MARGIN_PX,
    clip_box,
    crop_aligned,
    crop_face,
    crop_upright,
)

IMAGE = np.zeros((200, 300, 3), dtype=np.uint8)
EYES_PX = 65
"""Of a crop: the rows above the nose."""


def box(*edges: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(edges, dtype=np.float32)


def test_the_box_fills_the_crop_but_for_the_margin() -> None:
    image = IMAGE.copy()
    image[60:140, 100:180] = 255
    crop = crop_face(image, box(100, 60, 180, 140))
    assert crop.shape == (CROP_PX, CROP_PX, 3)
    lit = np.flatnonzero(crop[CROP_PX // 2, :, 0] > 127)
    assert lit[0] == MARGIN_PX // 2
    assert lit[-1] == CROP_PX - MARGIN_PX // 2 - 1


def test_the_margin_ends_at_the_edge_of_the_photo() -> None:
    image = IMAGE.copy()
    image[:80, :80] = 255
    crop = crop_face(image, box(0, 0, 80, 80))
    # The margin exists on the right and below only: 80 of 90 pixels are lit.
    assert abs(int((crop[5, :, 0] > 127).sum()) - 160 * 80 / 90) <= 1


def test_shrinking_averages() -> None:
    image = np.zeros((1600, 1600, 3), dtype=np.uint8)
    image[::2] = 200
    crop = crop_face(image, box(100, 100, 1500, 1500))
    assert np.abs(crop.astype(int) - 100).max() <= 5


def test_boxes_are_cut_at_the_edges() -> None:
    assert clip_box(IMAGE, box(-5.5, -9, 305, 50.9)) == Box(left=0, top=0, right=300, bottom=50)


def test_a_box_outside_gives_nothing() -> None:
    for outside in (box(-90, 10, -5, 60), box(310, 10, 400, 60), box(10, 200, 60, 260)):
        assert clip_box(IMAGE, outside) is None


def test_a_box_without_extent_gives_nothing() -> None:
    assert clip_box(IMAGE, box(10, 10, 10, 10)) is None


def marked(points: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> RgbImage:
    """A grey photo with a white square of 9 px at each landmark."""
    image = np.full((600, 600, 3), 60, dtype=np.uint8)
    for x, y in np.round(points).astype(int):
        image[y - 4 : y + 5, x - 4 : x + 5] = 255
    return image


def turned(degrees: float, scale: float = 1.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A frontal face's landmarks around (300, 300), turned and scaled."""
    upright = np.array([[-30, -30], [30, -30], [0, 2], [-26, 32], [26, 32]]) * scale
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = upright @ turn.T + 300
    return points.astype(np.float32)


def lit_rows(crop: RgbImage, columns: slice) -> float:
    """The mean row of the eye in these columns."""
    rows, _ = np.nonzero(crop[:EYES_PX, columns, 0] > 150)
    return float(rows.mean())


@pytest.mark.parametrize("degrees", [-35, 0, 20])
@pytest.mark.parametrize("aligned", [False, True])
def test_eyes_lie_level(degrees: float, aligned: bool) -> None:
    points = turned(degrees)
    image = marked(points)
    if aligned:
        crop = crop_aligned(image, points)
    else:
        crop = crop_upright(image, box(240, 230, 360, 370), points)
    assert crop.shape == (CROP_PX, CROP_PX, 3)
    half = CROP_PX // 2
    left, right = lit_rows(crop, slice(0, half)), lit_rows(crop, slice(half, CROP_PX))
    assert abs(left - right) <= 1.5


@pytest.mark.parametrize("scale", [0.5, 1, 2.5])
def test_an_aligned_face_always_fills_the_crop_alike(scale: float) -> None:
    crop = crop_aligned(marked(turned(0, scale)), turned(0, scale))
    _, columns = np.nonzero(crop[:EYES_PX, : CROP_PX // 2, 0] > 150)
    # Half an eye distance left of the middle; the crop shows 2.9 of them.
    assert columns.mean() == pytest.approx(CROP_PX * (0.5 - 0.5 / 2.9), abs=2.5)


def test_an_upright_crop_of_a_level_face_is_the_plain_one() -> None:
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((30, 30, 1), dtype=np.uint8))
    there = box(200, 200, 360, 360)
    difference = crop_upright(image, there, turned(0)).astype(int) - crop_face(image, there)
    assert np.abs(difference).mean() < 4


def test_outside_the_photo_its_edge_repeats() -> None:
    image = np.full((200, 200, 3), 90, dtype=np.uint8)
    points = turned(30) - 300
    assert (crop_upright(image, box(-60, -60, 60, 60), points) == 90).all()
    assert (crop_aligned(image, points) == 90).all()


def test_landmarks_in_one_place_still_give_a_crop() -> None:
    points = np.full((5, 2), 50, dtype=np.float32)
    assert crop_aligned(IMAGE, points).shape == (CROP_PX, CROP_PX, 3)
    assert crop_upright(IMAGE, box(20, 20, 80, 80), points).shape == (CROP_PX, CROP_PX, 3)
