"""Photos that cost nothing and differ from each other."""

import io
from enum import Enum

import numpy as np
from PIL import Image

from gpu_worker.backends.base import RgbImage


class Harm(Enum):
    """What a photo does to the worker that looks at it, told by its top left pixel."""

    CRASH = (255, 0, 0)
    HANG = (0, 255, 0)
    EXHAUST = (0, 0, 255)

    @classmethod
    def of(cls, image: RgbImage) -> "Harm | None":
        """Return what this photo does."""
        corner = tuple(int(value) for value in image[0, 0])
        return next((harm for harm in cls if harm.value == corner), None)


def photo(number: int, harm: Harm | None = None) -> bytes:
    """Return a PNG of 64 x 64 pixels; those of different numbers differ."""
    pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    pixels[0, 0] = (10, 20, 30) if harm is None else harm.value
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
