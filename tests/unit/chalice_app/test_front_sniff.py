"""What an upload is, told from its first bytes."""

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalice_app.sniff import HEAD_BYTES, check_photo
from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.image_head import read_head
from faces.contracts.jobs import ContentType
from tests.unit.chalice_app.fakes import photo

FORMATS = {ContentType.JPEG: "JPEG", ContentType.PNG: "PNG", ContentType.WEBP: "WEBP"}
PIXELS = 1_000_000


def check(data: bytes, announced: ContentType, max_pixels: int = PIXELS) -> None:
    check_photo(data[:HEAD_BYTES], lambda: data[HEAD_BYTES:], announced, max_pixels)


def refused(data: bytes, announced: ContentType = ContentType.JPEG, **limits: int) -> ErrorCode:
    with pytest.raises(PhotoError) as caught:
        check(data, announced, **limits)
    return caught.value.code


@pytest.mark.parametrize("announced", FORMATS)
def test_a_photo_as_announced_passes(announced: ContentType) -> None:
    check(photo(FORMATS[announced]), announced)


@pytest.mark.parametrize("announced", FORMATS)
@pytest.mark.parametrize("real", FORMATS)
def test_another_type_than_announced(announced: ContentType, real: ContentType) -> None:
    if announced is not real:
        code = refused(photo(FORMATS[real]), announced)
        assert code is ErrorCode.WRONG_CONTENT_TYPE


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_image_formats_are_named_as_such(kind: str) -> None:
    assert refused(photo(kind)) is ErrorCode.UNSUPPORTED_IMAGE


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"avif"])
def test_phone_formats_are_named_as_such(brand: bytes) -> None:
    assert refused(b"\0\0\0\x18ftyp" + brand + b"\0" * 40) is ErrorCode.UNSUPPORTED_IMAGE


@pytest.mark.parametrize("data", [b"x", b"%PDF-1.7", b"<svg/>", b"\0" * 100, b"RIFF....AVI LIST"])
def test_files_that_are_no_images(data: bytes) -> None:
    assert refused(data) is ErrorCode.NOT_AN_IMAGE


@pytest.mark.parametrize("announced", FORMATS)
def test_a_file_that_ends_in_its_header(announced: ContentType) -> None:
    assert refused(photo(FORMATS[announced])[:20], announced) is ErrorCode.CORRUPT_IMAGE


@pytest.mark.parametrize("announced", FORMATS)
def test_the_pixel_limit_is_exact(announced: ContentType) -> None:
    data = photo(FORMATS[announced], (40, 30))
    check(data, announced, max_pixels=1200)
    assert refused(data, announced, max_pixels=1199) is ErrorCode.IMAGE_TOO_LARGE


def test_a_header_longer_than_the_head_is_read_on() -> None:
    comment = b"\xff\xfe\xff\xff" + b"c" * 65_533
    data = photo("JPEG")
    check(data[:2] + comment * 2 + data[2:], ContentType.JPEG)


def test_the_rest_is_not_read_when_the_head_is_enough() -> None:
    def rest() -> bytes:
        raise AssertionError("read on")

    check_photo(photo("JPEG"), rest, ContentType.JPEG, PIXELS)


def test_a_picture_that_claims_far_too_many_pixels_is_refused_at_once() -> None:
    data = bytearray(photo("PNG"))
    data[16:24] = struct.pack(">II", 2**30, 2**30)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    assert refused(bytes(data), ContentType.PNG) is ErrorCode.IMAGE_TOO_LARGE


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_in_another_way(noise: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"):
        data = start + noise
        with contextlib.suppress(PhotoError):
            check(data, read_head(data).content_type)
