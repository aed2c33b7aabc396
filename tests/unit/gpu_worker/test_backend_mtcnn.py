"""MTCNN's decisions in numpy against those of facenet-pytorch, on drawn boxes."""

import tracemalloc
from unittest import mock

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_worker.backends import mtcnn
from gpu_worker.backends.base import FloatArray
from gpu_worker.backends.torchvision_shim import ensure_torchvision

ensure_torchvision()

from facenet_pytorch.models.utils import detect_face as published  # noqa: E402

seeds = st.integers(0, 2**32 - 1)
_FAST = settings(max_examples=40, deadline=None)


def draw_boxes(seed: int, count: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-40, 400, (count, 2))
    sizes = rng.uniform(1, 200, (count, 2))
    return np.concatenate([corners, corners + sizes], axis=1).astype(np.float32)


def draw_scores(seed: int, count: int, steps: int) -> FloatArray:
    """Return scores of few different values, so that some are equal."""
    return (np.random.default_rng(seed).integers(0, steps, count) / steps).astype(np.float32)


@_FAST
@given(seeds, st.sampled_from([0, 1, 7, 300, 700]), st.sampled_from([0.5, 0.7]))
def test_nms_is_torchvisions(seed: int, count: int, threshold: float) -> None:
    boxes, scores = draw_boxes(seed, count), draw_scores(seed, count, 50)
    kept = torch.ops.torchvision.nms(torch.tensor(boxes), torch.tensor(scores), threshold)
    assert mtcnn.nms(boxes, scores, threshold).tolist() == kept.tolist()
    with mock.patch.object(mtcnn, "_NMS_REST", 100):
        assert mtcnn.nms(boxes, scores, threshold).tolist() == kept.tolist()


def test_nms_of_many_boxes_takes_little_memory() -> None:
    boxes, scores = draw_boxes(1, 100_000), draw_scores(1, 100_000, 1000)
    tracemalloc.start()
    try:
        kept = mtcnn.nms(boxes, scores, 0.5)
        assert tracemalloc.get_traced_memory()[1] < 150_000_000
    finally:
        tracemalloc.stop()
    assert len(np.unique(kept)) == len(kept) > 256


@_FAST
@given(seeds, st.integers(0, 60), st.integers(1, 60))
def test_nms_by_the_smaller_box_is_facenets(seed: int, count: int, steps: int) -> None:
    boxes, scores = draw_boxes(seed, count), draw_scores(seed, count, steps)
    expected = published.nms_numpy(boxes, scores, 0.7, "Min")
    assert mtcnn.nms_min(boxes, scores, 0.7).tolist() == expected.ravel().astype(int).tolist()


@_FAST
@given(seeds, st.floats(0.001, 1), st.integers(1, 40), st.integers(1, 40))
def test_cells_are_facenets(seed: int, scale: float, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = torch.from_numpy(rng.random((1, rows, columns), dtype=np.float32))
    offsets = torch.zeros(1, 4, rows, columns)
    expected, _ = published.generateBoundingBox(offsets, probabilities, scale, 0.6)
    at_rows, at_columns = np.nonzero(probabilities[0].numpy() >= np.float32(0.6))
    found = mtcnn.cells(at_rows, at_columns, scale)
    assert np.array_equal(found, expected[:, :4].numpy())


@_FAST
@given(seeds)
def test_boxes_are_moved_and_squared_as_in_facenet(seed: int) -> None:
    boxes = draw_boxes(seed, 20)
    offsets = np.random.default_rng(seed).normal(0, 0.2, (20, 4)).astype(np.float32)
    moved = mtcnn.shift(boxes, offsets)
    assert np.array_equal(
        moved, published.bbreg(torch.tensor(boxes), torch.tensor(offsets)).numpy()
    )
    assert np.array_equal(mtcnn.square(boxes), published.rerec(torch.tensor(boxes)).numpy())
    top, bottom, left, right = published.pad(torch.tensor(boxes), 300, 200)
    expected = np.stack([left - 1, top - 1, right, bottom], axis=1)
    assert np.array_equal(mtcnn.clip(boxes, 200, 300), expected)


def test_a_pyramid_needs_room_for_a_face() -> None:
    assert mtcnn.pyramid(19, 500, 20) == []
    assert [level[1:] for level in mtcnn.pyramid(20, 40, 20)] == [(13, 25)]
    scales = [scale for scale, _, _ in mtcnn.pyramid(250, 250, 20)]
    assert len(scales) == 8
    assert scales[0] == 0.6


def test_softmax_of_large_logits_stays_finite() -> None:
    logits = np.array([[0, 0], [500, -500], [-500, 500]], dtype=np.float32)
    assert mtcnn.softmax(logits).tolist() == [0.5, 0, 1]
    # Whatever reaches P-Net's threshold passes the quick test before it.
    gap = np.linspace(0, 1, 1001, dtype=np.float32)
    passes = mtcnn.softmax(np.stack([np.zeros_like(gap), gap], axis=1)) >= mtcnn.PNET_THRESHOLD
    assert mtcnn.likely(np.zeros_like(gap), gap)[passes].all()
