"""How many parts a file has, counted before a decoder sees it; pure.

Decoders take as long for an empty part as for a full one. Ten megabytes hold 200,000 scans of
a progressive JPEG, an hour's work where each goes through 24 megapixels, or two million
empty segments, of each of which Pillow keeps an object.
"""

import re

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.jobs import ContentType

MOST_SCANS = 100
"""In a JPEG; progressive ones of cameras and programs have 6 to 12."""

MOST_PARTS = 50_000
"""Segments of a JPEG or chunks of a PNG; 255 hold the longest colour profile, and a PNG of
100 megabytes has 12,000 chunks of libpng's size."""

# ITU-T T.81, B.1.1: what follows 0xFF and is no stuffed zero, no fill byte, and none of the
# markers without a length (TEM, RST, SOI).
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_END, _SCAN = 0xD9, 0xDA


def check_structure(data: bytes, kind: ContentType) -> None:
    """Refuse a file of so many parts that reading them takes too long.

    Raises
    ------
    PhotoError
        `corrupt_image`.
    """
    parts, scans = 0, 0
    if kind is ContentType.JPEG:
        parts, scans = _jpeg_parts(data)
    elif kind is ContentType.PNG:
        parts = _png_parts(data)
    if parts > MOST_PARTS or scans > MOST_SCANS:
        raise PhotoError(
            ErrorCode.CORRUPT_IMAGE,
            f"The file has more than {MOST_SCANS} scans or {MOST_PARTS} parts, which no camera "
            "writes; export it again and resend.",
        )


def _jpeg_parts(data: bytes) -> tuple[int, int]:
    """Return how many segments and how many scans come before the image's end."""
    place, parts, scans = 2, 0, 0
    while parts <= MOST_PARTS and scans <= MOST_SCANS and (found := _MARKER.search(data, place)):
        place = found.end()
        marker = data[place - 1]
        if marker == _END:
            break
        parts += 1
        scans += marker == _SCAN
        place += max(2, int.from_bytes(data[place : place + 2], "big"))
    return parts, scans


def _png_parts(data: bytes) -> int:
    """Return how many chunks the file has (ISO/IEC 15948, 5.3)."""
    place, parts = 8, 0
    while parts <= MOST_PARTS and place < len(data):
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        parts += 1
    return parts
