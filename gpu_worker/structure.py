"""The parts of a file, looked at before a decoder sees it; pure.

Decoders take as long for an empty part as for a full one. Ten megabytes hold 200,000 scans of
a progressive JPEG, an hour's work where each goes through 24 megapixels, or two million
empty segments, of each of which Pillow keeps an object. And Pillow reads what cameras note
(EXIF, MPF) without a limit: in 60 kilobytes 5,000 values may all lie on each other, which
it keeps one by one.
"""

import re
import struct
from typing import Literal

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
_END, _SCAN, _APP1 = 0xD9, 0xDA, 0xE1
# What pixels are made by: tables, frame headers, and the marks of JFIF and Adobe.
_NEEDED = {*range(0xC0, 0xD0), 0xDB, 0xDD, 0xE0, 0xEE}
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
# EXIF 2.32, section 4.6.4: its tag, and the types of a number with their bytes.
_ORIENTATION_TAG, _NUMBERS = 0x0112, {1: 1, 3: 2, 4: 4}
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


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


def without_notes(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a JPEG with what makes its pixels alone, and what was noted as EXIF and XMP.

    Raises
    ------
    PhotoError
        `corrupt_image` where no scan begins.
    """
    kept, exif, xmp, place = [data[:2]], b"", b"", 2
    while found := _MARKER.search(data, place):
        body = found.end()
        marker, length = data[body - 1], int.from_bytes(data[body : body + 2], "big")
        if marker == _SCAN:
            return b"".join((*kept, data[body - 2 :])), exif, xmp
        if marker == _END or length < 2:
            break
        place = body + length
        if marker in _NEEDED:
            kept.append(data[body - 2 : place])
        elif marker == _APP1 and data.startswith(_EXIF, body + 2):
            exif = exif or data[body + 2 : place]
        elif marker == _APP1 and data.startswith(_XMP, body + 2):
            xmp = data[body + 2 : place]
    raise PhotoError(ErrorCode.CORRUPT_IMAGE)


def orientation(exif: bytes, xmp: bytes) -> int:
    """Return the orientation that is noted, 1 (upright) when there is none or it is unreadable.

    Parameters
    ----------
    exif : TIFF 6.0, section 2, of which the first directory counts.
    """
    exif = exif.removeprefix(_EXIF).removeprefix(_EXIF)  # some write it twice
    order: Literal["big", "little"] = "big" if exif[:2] == b"MM" else "little"
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    entries = exif[start + 2 : start + 2 + 12 * count]
    layout = struct.Struct((">" if order == "big" else "<") + "HHL4s")
    for tag, kind, number, value in layout.iter_unpack(entries[: len(entries) // 12 * 12]):
        if tag == _ORIENTATION_TAG and kind in _NUMBERS and number == 1:
            return int.from_bytes(value[: _NUMBERS[kind]], order)
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 1
