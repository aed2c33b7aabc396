"""What a file is by its first bytes, before any parser that allocates sees it; pure.

Front end and worker refuse by the same rules. Only the three formats that may be announced
are told from each other; all others are known by their signatures alone, so that no rarer
decoder ever sees a stranger's bytes.
"""

import struct
from dataclasses import dataclass

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.jobs import ContentType

# Signatures: JPEG ITU-T T.81 B.1.1.2, PNG ISO/IEC 15948 5.2.
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_NOT_TAKEN = (
    b"GIF8",
    b"BM",
    b"II*\0",  # TIFF, in both byte orders
    b"MM\0*",
    b"\0\0\1\0",  # ICO
    b"\0\0\0\x0cjP  ",  # JPEG 2000, in a box and alone
    b"\xff\x4f\xff\x51",
    b"\xff\x0a",  # JPEG XL, alone and in a box
    b"\0\0\0\x0cJXL ",
    b"8BPS",  # PSD
)
# HEIF and AVIF (ISO/IEC 23008-12 and the AV1 image file format).
_ISO_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN_MARKER = 0xDA


@dataclass(frozen=True)
class ImageHead:
    """What the first bytes say.

    Attributes
    ----------
    size : width and height in pixels; None where the bytes end, or are broken, before it.
    """

    content_type: ContentType
    size: tuple[int, int] | None


def read_head(data: bytes, announced: ContentType | None = None) -> ImageHead:
    """Return which image `data` begins.

    Parameters
    ----------
    announced : what it should be; anything that is taken when left out.

    Raises
    ------
    PhotoError
        `unsupported_image` for other image formats, `not_an_image` for anything else;
        `wrong_content_type`.
    """
    if data.startswith(_JPEG):
        found = ImageHead(ContentType.JPEG, _jpeg_size(data))
    elif data.startswith(_PNG):
        found = ImageHead(ContentType.PNG, _png_size(data))
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        found = ImageHead(ContentType.WEBP, _webp_size(data))
    elif data.startswith(_NOT_TAKEN) or (data[4:8] == b"ftyp" and data[8:12] in _ISO_BRANDS):
        raise PhotoError(ErrorCode.UNSUPPORTED_IMAGE)
    else:
        raise PhotoError(ErrorCode.NOT_AN_IMAGE)
    if announced is not None and found.content_type is not announced:
        raise PhotoError(
            ErrorCode.WRONG_CONTENT_TYPE,
            f"The file is {found.content_type.value}, announced was {announced.value}; "
            "announce the type that the file has.",
        )
    return found


def check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    """Refuse a photo of too many pixels, or of none.

    Raises
    ------
    PhotoError
        `image_too_large`, `corrupt_image`.
    """
    width, height = size
    if width < 1 or height < 1:
        raise PhotoError(ErrorCode.CORRUPT_IMAGE)
    if width * height > max_pixels:
        raise PhotoError(
            ErrorCode.IMAGE_TOO_LARGE,
            f"The photo has {width} x {height} pixels, {max_pixels} are allowed; scale it down.",
        )


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
    """ISO/IEC 15948, 11.2.2: IHDR comes first."""
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """RFC 9649, sections 2.5 (VP8, RFC 6386 9.1), 2.6 and 3.4 (VP8L), 2.7 (VP8X).

    Pillow makes libwebp allocate the canvas when it opens the file, so the size must be
    known before.
    """
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None
