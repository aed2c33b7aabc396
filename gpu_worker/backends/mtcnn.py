"""MTCNN's decisions (Zhang et al. 2016) between its networks, in numpy.

They follow facenet-pytorch's `detect_face` to the last bit, because a box that differs by
one float32 step can end in another whole pixel: float32 throughout, the same order of
operations, the same order among equal scores.
"""

import numpy as np
from numpy.typing import NDArray

from gpu_worker.backends.base import PYRAMID_FACTOR, FloatArray

IndexArray = NDArray[np.int64]

STRIDE = 2
CELL_PX = 12
"""P-Net looks at 12 x 12 pixels, every second pixel."""

PNET_THRESHOLD = 0.6
RNET_THRESHOLD = 0.7
ONET_THRESHOLD = 0.7
_LOGIT_MARGIN = np.float32(0.4)  # a little under log(0.6 / 0.4), the logits' distance at 0.6

_NMS_CHUNK, _NMS_REST = 256, 1 << 14
"""Boxes that are compared at once: 16 MB for each of a few intermediate arrays."""


def pyramid(height: int, width: int, smallest: float) -> list[tuple[float, int, int]]:
    """Return scale, height and width of each level; none where no face can fit.

    Parameters
    ----------
    smallest : shortest face side that is searched for, in pixels.
    """
    return levels(height, width, CELL_PX / smallest)


def levels(height: int, width: int, scale: float) -> list[tuple[float, int, int]]:
    """Return the same for a pyramid that begins at `scale`."""
    found = []
    side = min(height, width) * scale
    while side >= CELL_PX:
        found.append((scale, int(height * scale + 1), int(width * scale + 1)))
        scale *= PYRAMID_FACTOR
        side *= PYRAMID_FACTOR
    return found


def softmax(logits: FloatArray) -> FloatArray:
    """Return the probability of the second of two classes; (n, 2) to (n,)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability: FloatArray = powers[:, 1] / (powers[:, 0] + powers[:, 1])
    return probability


def likely(background: FloatArray, face: FloatArray) -> NDArray[np.bool_]:
    """Return where P-Net's logits can reach its threshold; spares the others' exponentials."""
    mask: NDArray[np.bool_] = face - background > _LOGIT_MARGIN
    return mask


def cells(rows: IndexArray, columns: IndexArray, scale: float) -> FloatArray:
    """Return the boxes, in the photo's pixels, that P-Net saw at (row, column); (n, 4)."""
    at = np.stack([columns, rows], axis=1).astype(np.float32) * STRIDE
    divisor = np.float32(scale)
    return np.concatenate(
        [np.floor((at + 1) / divisor), np.floor((at + CELL_PX) / divisor)], axis=1
    )


def nms(boxes: FloatArray, scores: FloatArray, threshold: float) -> IndexArray:
    """Greedy non-maximum suppression by intersection over union.

    Equal scores keep their order, as in torchvision. Boxes are taken in chunks, so that
    memory grows with their number and not with its square.

    Parameters
    ----------
    boxes : (n, 4) float32; scores : (n,) float32.

    Returns
    -------
    indices of the kept boxes, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        chunk, rest = order[:_NMS_CHUNK], order[_NMS_CHUNK:]
        overlap = _iou(boxes[chunk], boxes[chunk]) > threshold
        dropped = np.zeros(len(chunk), dtype=bool)
        for i in range(len(chunk)):
            if not dropped[i]:
                dropped[i + 1 :] |= overlap[i, i + 1 :]
        chosen = chunk[~dropped]
        kept.append(chosen)
        if len(rest):
            parts = np.split(rest, range(_NMS_REST, len(rest), _NMS_REST))
            free = [~(_iou(boxes[chosen], boxes[part]) > threshold).any(axis=0) for part in parts]
            rest = rest[np.concatenate(free)]
        order = rest
    return np.concatenate(kept) if kept else np.empty(0, dtype=np.int64)


def nms_min(boxes: FloatArray, scores: FloatArray, threshold: float) -> IndexArray:
    """Non-maximum suppression by intersection over the smaller box, in whole-pixel areas.

    Which of two equal scores counts as better is up to `np.argsort`, as in facenet-pytorch.
    """
    left, top, right, bottom = boxes.T
    areas = (right - left + 1) * (bottom - top + 1)
    waiting = np.argsort(scores)
    kept = []
    while len(waiting):
        best, rest = waiting[-1], waiting[:-1]
        kept.append(int(best))
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + 1
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + 1
        shared = np.maximum(0.0, width) * np.maximum(0.0, height)
        waiting = rest[shared / np.minimum(areas[best], areas[rest]) <= threshold]
    return np.array(kept, dtype=np.int64)


def _iou(some: FloatArray, others: FloatArray) -> FloatArray:
    left, top, right, bottom = (edge[:, None] for edge in some.T)
    other_left, other_top, other_right, other_bottom = others.T
    width = np.minimum(right, other_right) - np.maximum(left, other_left)
    height = np.minimum(bottom, other_bottom) - np.maximum(top, other_top)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (right - left) * (bottom - top)
    other_areas = (other_right - other_left) * (other_bottom - other_top)
    ratio: FloatArray = shared / (areas + other_areas - shared)
    return ratio


def shift_cells(boxes: FloatArray, offsets: FloatArray) -> FloatArray:
    """Move each edge by P-Net's offset, a fraction of the box's size."""
    width = boxes[:, 2] - boxes[:, 0]
    height = boxes[:, 3] - boxes[:, 1]
    sizes = np.stack([width, height, width, height], axis=1)
    return boxes + offsets * sizes


def shift(boxes: FloatArray, offsets: FloatArray) -> FloatArray:
    """Move each edge by R-Net's or O-Net's offset, a fraction of the box's size in pixels."""
    width = boxes[:, 2] - boxes[:, 0] + 1
    height = boxes[:, 3] - boxes[:, 1] + 1
    sizes = np.stack([width, height, width, height], axis=1)
    return boxes + offsets * sizes


def square(boxes: FloatArray) -> FloatArray:
    """Grow the boxes' shorter sides to squares around the same centres."""
    height = boxes[:, 3] - boxes[:, 1]
    width = boxes[:, 2] - boxes[:, 0]
    side = np.maximum(width, height)
    half = np.float32(0.5)
    left = boxes[:, 0] + width * half - side * half
    top = boxes[:, 1] + height * half - side * half
    return np.stack([left, top, left + side, top + side], axis=1)


def clip(boxes: FloatArray, height: int, width: int) -> IndexArray:
    """Return the boxes in whole pixels of the photo, (n, 4); some may be empty."""
    whole = np.trunc(boxes).astype(np.int64)
    left = np.maximum(whole[:, 0], 1) - 1
    top = np.maximum(whole[:, 1], 1) - 1
    return np.stack(
        [left, top, np.minimum(whole[:, 2], width), np.minimum(whole[:, 3], height)], axis=1
    )


def landmarks(boxes: FloatArray, points: FloatArray) -> FloatArray:
    """Return O-Net's points in the photo's pixels.

    Parameters
    ----------
    boxes : (n, 4); points : (n, 10), five x and five y as fractions of the box.

    Returns
    -------
    (n, 5, 2) float32.
    """
    width = (boxes[:, 2] - boxes[:, 0] + 1)[:, None]
    height = (boxes[:, 3] - boxes[:, 1] + 1)[:, None]
    x = width * points[:, :5] + boxes[:, :1] - 1
    y = height * points[:, 5:] + boxes[:, 1:2] - 1
    return np.stack([x, y], axis=2)
