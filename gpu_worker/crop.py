"""From a face's box to the network's input: the only place where crops are made.

Vectors are only comparable when they were made from equally cut and resampled faces;
whoever changes anything here gives `CROP_VERSION` a new name.
"""

import numpy as np
from PIL import Image

from faces.contracts.results import Box
from gpu_worker.backends.base import FloatArray, RgbImage

CROP_VERSION = "mtcnn-160-m32-v1"

CROP_PX = 160
MARGIN_PX = 32
"""How many of the crop's pixels lie outside the box, in each direction, both sides together."""


def crop_face(image: RgbImage, box: FloatArray) -> RgbImage | None:
    """Cut out a face with its margin and scale it to the network's input.

    The box grows by `MARGIN_PX / (CROP_PX - MARGIN_PX)` of its size, is cut at the
    photo's edge and scaled to a square, aspect not kept: so were the faces that the
    network was trained on (davidsandberg/facenet, `align_dataset_mtcnn.py`). The size of
    the margin was chosen on LFW. Pillow's bilinear filter averages when it
    scales down.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB.
    box : (4,) left, top, right, bottom in pixels; may reach beyond the photo.

    Returns
    -------
    (160, 160, 3) uint8 RGB, or None when nothing of the box lies in the photo.
    """
    if clip_box(image, box) is None:
        return None
    left, top, right, bottom = (float(edge) for edge in box)
    grow_x = (right - left) * MARGIN_PX / (CROP_PX - MARGIN_PX) / 2
    grow_y = (bottom - top) * MARGIN_PX / (CROP_PX - MARGIN_PX) / 2
    x0, y0, x1, y1 = _cut(image, left - grow_x, top - grow_y, right + grow_x, bottom + grow_y)
    part = Image.fromarray(np.ascontiguousarray(image[y0:y1, x0:x1]))
    return np.asarray(part.resize((CROP_PX, CROP_PX), Image.Resampling.BILINEAR))


def clip_box(image: RgbImage, box: FloatArray) -> Box | None:
    """Return the box in whole pixels of the photo, or None when nothing of it lies inside."""
    left, top, right, bottom = _cut(image, *(float(edge) for edge in box))
    if right <= left or bottom <= top:
        return None
    return Box(left=left, top=top, right=right, bottom=bottom)


def _cut(
    image: RgbImage, left: float, top: float, right: float, bottom: float
) -> tuple[int, int, int, int]:
    height, width = image.shape[:2]
    return max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom))
