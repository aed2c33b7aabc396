"""A small file does not keep a decoder busy for an hour, or full of empty parts."""

import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.jobs import ContentType
from gpu_worker.photos import decode
from gpu_worker.structure import (
    MOST_PARTS,
    MOST_SCANS,
    check_structure,
    orientation,
    without_notes,
)
from tests.fixtures.photos import encoded, public_photo

JPEG, PNG = ContentType.JPEG, ContentType.PNG
LIMIT = 10_000_000
SMALL = encoded(np.zeros((16, 16, 3), dtype=np.uint8))
SMALL_PNG = encoded(np.zeros((16, 16, 3), dtype=np.uint8), "PNG")


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def many_scans(scans: int, side: int = 800) -> bytes:
    """A grey progressive JPEG that says of each scan in few bytes that it changes nothing."""
    blocks = (side // 8) ** 2
    runs = "".join("0" + "1" * 14 for _ in range(-(-blocks // 32767)))
    runs += "1" * (-len(runs) % 8)
    nothing = bytes(int(runs[i : i + 8], 2) for i in range(0, len(runs), 8))
    nothing = nothing.replace(b"\xff", b"\xff\0")
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, b"\0" + b"\1" * 64),
            segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0"),
            segment(0xC4, b"\0" + b"\1" + bytes(15) + b"\0"),
            segment(0xC4, b"\x10" + b"\1\1" + bytes(14) + b"\xe0\0"),
            segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8)),
            segment(0xDA, b"\1\1\0\1\x3f\1") + nothing,
            (segment(0xDA, b"\1\1\0\1\x3f\x10") + nothing) * (scans - 2),
            b"\xff\xd9",
        ]
    )


def chunk(name: bytes) -> bytes:
    return struct.pack(">I", 0) + name + struct.pack(">I", zlib.crc32(name))


def refused(data: bytes, kind: ContentType) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        decode(data, kind, LIMIT)
    return caught.value


def test_as_many_scans_as_allowed_are_read() -> None:
    assert decode(many_scans(MOST_SCANS), JPEG, LIMIT).info.width == 800


def test_more_scans_are_refused_at_once() -> None:
    """Decoding these takes a minute."""
    began = time.monotonic()
    error = refused(many_scans(100_000), JPEG)
    assert time.monotonic() - began < 1
    assert error.code is ErrorCode.CORRUPT_IMAGE
    assert error.detail.endswith("export it again and resend.")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (SMALL[:2] + segment(0xE0, b"") * 60_000 + SMALL[2:], JPEG),
        (SMALL[:2] + segment(0xFE, b"") * 60_000 + SMALL[2:], JPEG),
        (SMALL_PNG[:33] + chunk(b"prVt") * 60_000 + SMALL_PNG[33:], PNG),
        (SMALL_PNG[:-12] + chunk(b"prVt") * 60_000 + SMALL_PNG[-12:], PNG),
    ],
    ids=["application segments", "comments", "chunks", "chunks at the end"],
)
def test_empty_parts_take_no_memory(data: bytes, kind: ContentType) -> None:
    tracemalloc.start()
    try:
        assert refused(data, kind).code is ErrorCode.CORRUPT_IMAGE
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_many_parts_of_a_photo_are_read() -> None:
    comments = segment(0xFE, b"x") * (MOST_PARTS // 2)
    assert decode(SMALL[:2] + comments + SMALL[2:], JPEG, LIMIT).info.width == 16


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"icc_profile": b"\xff\xda" * 9000}],
)
def test_photos_of_programs_are_far_below(options: dict[str, object]) -> None:
    check_structure(encoded(public_photo("astronaut"), "JPEG", **options), JPEG)


def directory(order: str, kind: int, value: bytes) -> bytes:
    """EXIF of a make and an orientation, in either byte order."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    make = struct.pack(order + "HHL", 0x010F, 2, 4) + b"Cam\0"
    turned = struct.pack(order + "HHL", 0x0112, kind, 1) + value.ljust(4, b"\0")
    return b"Exif\0\0" + head + struct.pack(order + "LH", 8, 2) + make + turned + bytes(4)


XMP = b'<x tiff:Orientation="6"/>'


@pytest.mark.parametrize(
    ("exif", "xmp", "expected"),
    [
        (directory("<", 3, b"\6\0"), b"", 6),
        (directory(">", 3, b"\0\6"), b"", 6),
        (directory(">", 4, b"\0\0\0\6"), b"", 6),
        (directory("<", 1, b"\6"), b"", 6),
        (b"Exif\0\0" + directory("<", 3, b"\6\0"), b"", 6),
        (directory("<", 3, b"\3\0"), XMP, 3),
        (b"", XMP, 6),
        (b"", b"<tiff:Orientation>8</tiff:Orientation>", 8),
        (directory("<", 2, b"\6\0"), b"", 1),
        (directory("<", 3, b"\6\0")[:40], XMP, 6),
        (b"MM", b"", 1),
        (b"II*\0\xff\xff\xff\xff", b"", 1),
        (b"Exif\0\0" * 1_000_000, b"", 1),
    ],
)
def test_the_orientation_that_was_noted(exif: bytes, xmp: bytes, expected: int) -> None:
    began = time.monotonic()
    assert orientation(exif, xmp) == expected
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_without_notes_the_pixels_are_the_same(mode: str, options: dict[str, object]) -> None:
    image = Image.fromarray(public_photo("astronaut")[:99, :77]).convert(mode)
    file, noted = io.BytesIO(), io.BytesIO()
    image.save(file, "JPEG", **options)
    exif, profile = directory("<", 3, b"\6\0"), b"\xff\xda\xff\xd9" * 20_000
    image.save(noted, "JPEG", exif=exif, icc_profile=profile, comment="a", xmp=XMP, **options)
    slim, kept_exif, kept_xmp = without_notes(noted.getvalue())
    assert without_notes(file.getvalue())[0] == slim
    assert (kept_exif, kept_xmp.endswith(XMP)) == (exif, True)
    with Image.open(noted) as before, Image.open(io.BytesIO(slim)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))


@pytest.mark.parametrize(
    "data",
    [SMALL[:30], SMALL[:-20], SMALL[:2] + b"\xff\xd9" + SMALL[2:], SMALL[:2] + b"\xff\xe1\0\1"],
)
def test_a_jpeg_that_ends_before_its_pixels_is_damaged(data: bytes) -> None:
    assert refused(data, JPEG).code is ErrorCode.CORRUPT_IMAGE


def test_of_two_sizes_none_is_made_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[int, int]] = []
    monkeypatch.setattr(JpegImageFile, "load", lambda image: loaded.append(image.size))
    scan = SMALL.index(b"\xff\xda")
    parts = b"\1\x22\0\2\x11\1\3\x11\1"
    large = segment(0xC0, struct.pack(">BHHB", 8, 3000, 3000, 3) + parts)
    assert refused(SMALL[:scan] + large + SMALL[scan:], JPEG).code is ErrorCode.CORRUPT_IMAGE
    assert loaded == []


def test_what_lies_behind_the_end_does_not_count() -> None:
    check_structure(SMALL + segment(0xDA, b"") * 1000, JPEG)


@pytest.mark.parametrize("kind", ContentType)
def test_any_bytes_are_counted(kind: ContentType) -> None:
    noise = np.random.default_rng(4).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    for data in (b"", b"\xff\xd8\xff", SMALL[:30], SMALL_PNG[:20], noise):
        check_structure(data, kind)
