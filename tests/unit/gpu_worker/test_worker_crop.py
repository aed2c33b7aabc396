"""Crops: margin, edges, and boxes that lie outside."""

import numpy as np

from faces.contracts.results import Box
from gpu_worker.crop import CROP_PX, MARGIN_PX, clip_box, crop_face

IMAGE = np.zeros((200, 300, 3), dtype=np.uint8)


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
