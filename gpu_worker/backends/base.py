"""What the worker needs of a face detector and of an embedding network."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faces.contracts.results import ModelInfo

RgbImage = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

EMBEDDING_SIZE = 512

MIN_FACE_PX = 20
"""Smallest face that is searched for in photos up to `FULL_SEARCH_PX`."""

FULL_SEARCH_PX = 4096
"""Longer side up to which even the smallest faces are searched for, as facenet-pytorch does."""

PYRAMID_FACTOR = 0.709
"""From one level of MTCNN's pyramid to the next smaller one."""

FAST_SEARCH_PX = 640
"""The same in the `fast` mode."""

SmallestFace = Callable[[int, int], float]
"""The shortest face side that is searched for, by a photo's height and width."""


class ModelUnusableError(Exception):
    """The networks cannot be loaded; the message says what is missing and where to put it."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One face as the detector saw it, in pixels of the upright photo.

    Attributes
    ----------
    box : (4,) float32, left, top, right, bottom; may reach beyond the photo.
    landmarks : (5, 2) float32, x and y of left eye, right eye, nose and the mouth's
        left and right corner; left and right as the viewer sees.
    confidence : the detector's probability in [0, 1].
    """

    box: FloatArray
    landmarks: FloatArray
    confidence: float


class Detector(Protocol):
    """Finds faces."""

    def detect(self, images: Sequence[RgbImage]) -> list[list[Detection]]:
        """Return the faces of each (height, width, 3) uint8 RGB image, in any order."""


class Embedder(Protocol):
    """Turns a face crop into a vector that is close to those of the same person."""

    @property
    def model(self) -> ModelInfo:
        """Which network and crop the vectors come from."""

    def embed(self, crops: Sequence[RgbImage]) -> FloatArray:
        """Return (n, 512) float32 rows of unit length for n (160, 160, 3) uint8 RGB crops."""


def min_face_px(height: int, width: int) -> float:
    """Return the shortest face side that is searched for in a photo of this size.

    The cost of the search grows with (side / smallest face) squared: a 100 Mpx photo takes
    gigabytes when faces of 20 px are looked for. Above `FULL_SEARCH_PX` facenet-pytorch's
    finest levels are left out, as many as it takes, so that faces of twice that size and more
    still have its boxes; detection and crops read the photo at its full size.
    """
    return _smallest(height, width, FULL_SEARCH_PX)


def fast_min_face_px(height: int, width: int) -> float:
    """Return the same for the `fast` mode: at least 3 % of the longer side."""
    return _smallest(height, width, FAST_SEARCH_PX)


def _smallest(height: int, width: int, full_search_px: int) -> float:
    beyond = max(1.0, max(height, width) / full_search_px)
    left_out = math.ceil(math.log(beyond) / -math.log(PYRAMID_FACTOR))
    return float(MIN_FACE_PX / PYRAMID_FACTOR**left_out)
