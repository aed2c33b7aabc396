"""From a face's box and landmarks to the network's input: the only place where crops are made.

Vectors are only comparable when they were made from equally cut and resampled faces;
whoever changes anything here gives the profiles of `gpu_worker.profiles` new crop versions.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faces.contracts.results import Box
from gpu_worker.backends.base import FloatArray, RgbImage

CROP_VERSION = "mtcnn-160-m32-v1"
"""Of `crop_face` with its default margin, and nothing done afterwards."""

CROP_PX = 160
MARGIN_PX = 32
"""How many of the crop's pixels lie outside the box, in each direction, both sides together."""

_Matrix = NDArray[np.float64]

# Landmarks of a frontal head in eye distances, mean of LFW (folds 1 and 2), made symmetric.
_TEMPLATE: _Matrix = np.array(
    [[-0.5, -0.557], [0.5, -0.557], [0.0, 0.031], [-0.441, 0.541], [0.441, 0.541]]
)
# What an aligned crop shows, in eye distances: the faces of the training are stretched
# to a square, so its width and height differ.
_ALIGNED_WIDTH, _ALIGNED_HEIGHT, _ALIGNED_CENTRE = 2.9, 3.3, -0.05


def crop_face(
    image: RgbImage,
    box: FloatArray,
    margin: int = MARGIN_PX,
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> RgbImage:
    """Cut out a face with its margin and scale it to the network's input.

    The box grows by `margin / (CROP_PX - margin)` of its size, is cut at the photo's edge
    and scaled to a square, aspect not kept: so were the faces that the network was trained
    on (davidsandberg/facenet, `align_dataset_mtcnn.py`). Pillow's filters average when they
    scale down.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB.
    box : (4,) left, top, right, bottom in pixels; some of it lies in the photo.
    margin : pixels of the crop.

    Returns
    -------
    (160, 160, 3) uint8 RGB, as of every function here.
    """
    left, top, right, bottom = (float(edge) for edge in box)
    grow_x = (right - left) * margin / (CROP_PX - margin) / 2
    grow_y = (bottom - top) * margin / (CROP_PX - margin) / 2
    x0, y0, x1, y1 = _cut(image, left - grow_x, top - grow_y, right + grow_x, bottom + grow_y)
    part = Image.fromarray(np.ascontiguousarray(image[y0:y1, x0:x1]))
    return np.asarray(part.resize((CROP_PX, CROP_PX), resampling))


def crop_upright(
    image: RgbImage,
    box: FloatArray,
    landmarks: FloatArray,
    margin: int = MARGIN_PX,
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> RgbImage:
    """Cut out the box with its margin, turned so that eyes and mouth lie level.

    Like `crop_face`, but what lies outside the photo repeats its edge.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB.
    box : (4,) left, top, right, bottom in pixels; some of it lies in the photo.
    landmarks : (5, 2) in pixels.
    margin : pixels of the crop.
    resampling : see `crop_face`; faces are enlarged with the bicubic filter at most.
    """
    left, top, right, bottom = (float(edge) for edge in box)
    across = landmarks[1] - landmarks[0] + landmarks[4] - landmarks[3]
    angle = math.atan2(float(across[1]), float(across[0]))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    size = np.array([right - left, bottom - top]) * CROP_PX / (CROP_PX - margin)
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    return _warp(image, turn * (size / CROP_PX), centre - turn @ (size / 2), resampling)


def crop_aligned(
    image: RgbImage,
    landmarks: FloatArray,
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> RgbImage:
    """Cut out the face so that its landmarks lie where those of a mean face do.

    By the similarity transform (Umeyama 1991) that fits the five points best.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB.
    landmarks : (5, 2) in pixels, not all equal.
    resampling : see `crop_upright`.
    """
    points = landmarks.astype(np.float64)
    there = points - points.mean(axis=0)
    here = _TEMPLATE - _TEMPLATE.mean(axis=0)
    norm = float((here * here).sum())
    along = float((here * there).sum()) / norm
    across = float((here[:, 0] * there[:, 1] - here[:, 1] * there[:, 0]).sum()) / norm
    turn = np.array([[along, -across], [across, along]])
    size = np.array([_ALIGNED_WIDTH, _ALIGNED_HEIGHT])
    corner = np.array([0.0, _ALIGNED_CENTRE]) - size / 2
    origin = points.mean(axis=0) + turn @ (corner - _TEMPLATE.mean(axis=0))
    return _warp(image, turn * (size / CROP_PX), origin, resampling)


def clip_box(image: RgbImage, box: FloatArray) -> Box | None:
    """Return the box in whole pixels of the photo, or None when nothing of it lies inside."""
    left, top, right, bottom = _cut(image, *(float(edge) for edge in box))
    if right <= left or bottom <= top:
        return None
    return Box(left=left, top=top, right=right, bottom=bottom)


def _warp(
    image: RgbImage, matrix: _Matrix, origin: _Matrix, resampling: Image.Resampling
) -> RgbImage:
    """Sample the crop whose pixel (x, y) shows `matrix @ (x, y) + origin` of the photo.

    Only the part around the face is touched, and shrunk first when the face is large: an
    affine transform alone would skip pixels.
    """
    # Pillow's transform knows no wider filter than the bicubic one.
    sharp = resampling is not Image.Resampling.BILINEAR
    enlarging = Image.Resampling.BICUBIC if sharp else Image.Resampling.BILINEAR
    reach = 2 if sharp else 1
    corners = matrix @ np.array([[0, CROP_PX, 0, CROP_PX], [0, 0, CROP_PX, CROP_PX]])
    low = np.floor((corners + origin[:, None]).min(axis=1)).astype(int) - reach
    high = np.ceil((corners + origin[:, None]).max(axis=1)).astype(int) + reach
    part = Image.fromarray(_with_edges(image, low, high))
    size = high - low
    step = max(1.0, math.sqrt(abs(float(np.linalg.det(matrix)))))
    small = np.maximum(np.round(size / step), 1).astype(int)
    if step > 1:
        part = part.resize((int(small[0]), int(small[1])), resampling)
    scale = small / size
    linear = matrix * scale[:, None]
    shift = (origin - low) * scale
    crop = part.transform(
        (CROP_PX, CROP_PX),
        Image.Transform.AFFINE,
        (linear[0, 0], linear[0, 1], shift[0], linear[1, 0], linear[1, 1], shift[1]),
        resample=enlarging,
    )
    return np.asarray(crop)


def _with_edges(image: RgbImage, low: NDArray[np.int_], high: NDArray[np.int_]) -> RgbImage:
    """Return the photo's pixels from `low` to `high` (x, y); outside it its edge repeats."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(low[1], high[1]), 0, height - 1)
    columns = np.clip(np.arange(low[0], high[0]), 0, width - 1)
    if (low >= 0).all() and high[0] <= width and high[1] <= height:
        return np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    part: RgbImage = image[rows[:, None], columns]
    return part


def _cut(
    image: RgbImage, left: float, top: float, right: float, bottom: float
) -> tuple[int, int, int, int]:
    height, width = image.shape[:2]
    return max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom))
