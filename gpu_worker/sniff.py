"""What a file is by its first bytes, before any parser that allocates sees it."""

import struct
from dataclasses import dataclass

from faces.contracts.jobs import ContentType


@dataclass(frozen=True)
class Sniffed:
    """What the first bytes say.

    Attributes
    ----------
    name : Pillow's name of the format.
    content_type : None when the service does not take this format.
    size : width and height in pixels, where they stand at a fixed place.
    """

    name: str
    content_type: ContentType | None
    size: tuple[int, int] | None = None


_NOT_TAKEN = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\xff\x0a", "JPEGXL"),
    (b"8BPS", "PSD"),
)
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN_MARKER = 0xDA
_ISO_BRANDS = {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}


def sniff(data: bytes) -> Sniffed | None:
    """Return which image format `data` starts like, or None when it is no known one."""
    if data.startswith(b"\xff\xd8\xff"):
        return Sniffed("JPEG", ContentType.JPEG, _jpeg_size(data))
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Sniffed("PNG", ContentType.PNG, _png_size(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Sniffed("WEBP", ContentType.WEBP, _webp_size(data))
    if data[4:8] == b"ftyp" and data[8:12] in _ISO_BRANDS:
        return Sniffed("HEIF", None)
    for signature, name in _NOT_TAKEN:
        if data.startswith(signature):
            return Sniffed(name, None)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """ITU-T T.81, annex B: the frame header (SOF) is one of the segments before the scan."""
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _SOF_MARKERS:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        elif marker == _SCAN_MARKER:
            return None
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _png_size(data: bytes) -> tuple[int, int] | None:
    """PNG specification, section 11.2.1: IHDR comes first."""
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """RFC 9649, sections 2.5 to 2.7.

    Pillow makes libwebp allocate the canvas when it opens the file, so the size must be
    known before.
    """
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None
