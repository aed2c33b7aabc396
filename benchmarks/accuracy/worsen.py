"""Photos that are worse than LFW's, so that quality scores have something to foretell."""

import zlib

import numpy as np
from PIL import Image, ImageFilter

from gpu_worker.backends.base import RgbImage

_WIDTHS = (40, 56, 80, 112)
_BLURS = (1.5, 2.5, 4.0)
_LIGHTS = (0.12, 0.25, 2.0, 3.0)


def worsen(image: RgbImage, number: int) -> RgbImage:
    """Make a photo small, blurred, dark or overexposed; by its content and `number`.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB.
    """
    rng = np.random.default_rng([number, zlib.crc32(image.tobytes())])
    match rng.integers(3):
        case 0:
            width = max(1, min(int(rng.choice(_WIDTHS)), image.shape[1] // 2))
            height = max(1, round(image.shape[0] * width / image.shape[1]))
            small = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
            return np.asarray(small)
        case 1:
            blur = ImageFilter.GaussianBlur(float(rng.choice(_BLURS)))
            return np.asarray(Image.fromarray(image).filter(blur))
        case _:
            light = float(rng.choice(_LIGHTS))
            return (image.astype(np.float32) * light).clip(0, 255).astype(np.uint8)
