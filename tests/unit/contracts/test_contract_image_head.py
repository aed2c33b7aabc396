"""What a file is by its first bytes, and sizes that equal what the encoder wrote."""

import contextlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.image_head import check_pixels, read_head
from faces.contracts.jobs import ContentType

OPTIONS: dict[str, tuple[ContentType, dict[str, Any]]] = {
    "JPEG": (ContentType.JPEG, {}),
    "progressive JPEG": (ContentType.JPEG, {"progressive": True}),
    "JPEG with metadata": (ContentType.JPEG, {"exif": b"Exif\0\0" + b"x" * 20}),
    "PNG": (ContentType.PNG, {}),
    "VP8": (ContentType.WEBP, {"quality": 80}),
    "VP8L": (ContentType.WEBP, {"lossless": True}),
    "VP8X": (ContentType.WEBP, {"exif": b"Exif\0\0" + b"x" * 20}),
}


def made(kind: str, size: tuple[int, int], mode: str = "RGB") -> bytes:
    content_type, options = OPTIONS[kind]
    file = io.BytesIO()
    Image.new(mode, size).save(file, content_type.value.partition("/")[2], **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", OPTIONS)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_type_and_size_are_what_the_encoder_wrote(kind: str, width: int, height: int) -> None:
    found = read_head(made(kind, (width, height)))
    assert (found.content_type, found.size) == (OPTIONS[kind][0], (width, height))


def test_extended_webp_with_an_alpha_channel() -> None:
    assert read_head(made("VP8X", (457, 123), "RGBA")).size == (457, 123)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_head_that_ends_early_has_no_size_or_the_right_one(kind: str) -> None:
    data = made(kind, (457, 123))
    for length in range(12, len(data)):
        assert read_head(data[:length]).size in (None, (457, 123))
        if read_head(data[:length]).size:
            break


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_in_another_way(noise: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"\0\0\0\0ftyp"):
        with contextlib.suppress(PhotoError):
            read_head(start + noise)


def test_another_type_than_announced_says_both() -> None:
    with pytest.raises(PhotoError, match="image/png, announced was image/jpeg") as refused:
        read_head(made("PNG", (3, 3)), ContentType.JPEG)
    assert refused.value.code is ErrorCode.WRONG_CONTENT_TYPE


@pytest.mark.parametrize(
    ("size", "code"),
    [
        ((0, 5), ErrorCode.CORRUPT_IMAGE),
        ((5, 0), ErrorCode.CORRUPT_IMAGE),
        ((4, 4), ErrorCode.IMAGE_TOO_LARGE),
    ],
)
def test_too_many_pixels_or_none(size: tuple[int, int], code: ErrorCode) -> None:
    check_pixels((3, 5), 15)
    with pytest.raises(PhotoError) as refused:
        check_pixels(size, 15)
    assert refused.value.code is code
