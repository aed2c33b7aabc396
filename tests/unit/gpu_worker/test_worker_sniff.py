"""Sizes read from headers equal what the encoder wrote."""

import io

import numpy as np
import pytest
from PIL import Image

from gpu_worker.sniff import sniff
from tests.fixtures.photos import encoded

PIXELS = np.zeros((123, 457, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 80},
        {"lossless": True},
        {"exif": Image.Exif().tobytes(), "quality": 80},
    ],
    ids=["lossy", "lossless", "extended"],
)
def test_webp_sizes(options: dict[str, object]) -> None:
    found = sniff(encoded(PIXELS, "WEBP", **options))
    assert found is not None
    assert found.size == (457, 123)


def test_extended_webp_with_an_alpha_channel() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (457, 123), (1, 2, 3, 4)).save(file, "WEBP")
    found = sniff(file.getvalue())
    assert found is not None
    assert found.size == (457, 123)


def test_png_size() -> None:
    found = sniff(encoded(PIXELS, "PNG"))
    assert found is not None
    assert found.size == (457, 123)


@pytest.mark.parametrize("length", range(31))
def test_headers_that_end_early_have_no_size(length: int) -> None:
    for name in ("PNG", "WEBP"):
        found = sniff(encoded(PIXELS, name)[:length])
        assert found is None or found.size in (None, (457, 123))
