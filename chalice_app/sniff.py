"""What an upload really is, from its first bytes; no pixel is decoded.

Only the three formats that may be announced reach a parser; all others are told by their
signatures alone, so that none of Pillow's rarer decoders ever sees a stranger's bytes.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Callable

from PIL import Image

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.jobs import ContentType

# Signatures: JPEG ITU-T T.81 B.1.1.2, PNG ISO/IEC 15948 5.2, WebP RFC 9649 2.4.
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
# GIF, BMP, TIFF in both byte orders, JPEG XL, JPEG 2000.
_OTHER_IMAGES = (
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"\xff\x0a",
    b"\0\0\0\x0cJXL ",
    b"\0\0\0\x0cjP  ",
)
# Brands of HEIF and AVIF (ISO/IEC 23008-12 and the AV1 image file format).
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
_PILLOW_FORMATS = {
    ContentType.JPEG: "JPEG",
    ContentType.PNG: "PNG",
    ContentType.WEBP: "WEBP",
}
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, OverflowError)

HEAD_BYTES = 64 * 1024


def check_photo(
    head: bytes, rest: Callable[[], bytes], announced: ContentType, max_pixels: int
) -> None:
    """Check that an upload is a photo of the announced type and of bearable size.

    Parameters
    ----------
    head : the first `HEAD_BYTES` bytes, fewer when the file is shorter.
    rest : returns the bytes after those; called only when the header is longer.
    max_pixels : width times height may not be above this.

    Raises
    ------
    PhotoError
        `not_an_image`, `unsupported_image`, `wrong_content_type`, `corrupt_image` or
        `image_too_large`.
    """
    found = content_type(head)
    if found is not announced:
        raise PhotoError(
            ErrorCode.WRONG_CONTENT_TYPE,
            f"The file is {found.value}, announced was {announced.value}; "
            "announce the type that the file has.",
        )
    if found is ContentType.WEBP:
        # Pillow sets up a canvas of the full size when it opens a WebP file.
        _check_pixels(*webp_size(head), max_pixels)
        return
    size = _pillow_size(head, found) or _pillow_size(head + rest(), found)
    if size is None:
        raise PhotoError(ErrorCode.CORRUPT_IMAGE)
    _check_pixels(*size, max_pixels)


def content_type(head: bytes) -> ContentType:
    """Return the type that the signature shows.

    Raises
    ------
    PhotoError
        `unsupported_image` for other image formats, `not_an_image` for anything else.
    """
    if head.startswith(_JPEG):
        return ContentType.JPEG
    if head.startswith(_PNG):
        return ContentType.PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ContentType.WEBP
    heif = head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS
    if heif or head.startswith(_OTHER_IMAGES):
        raise PhotoError(ErrorCode.UNSUPPORTED_IMAGE)
    raise PhotoError(ErrorCode.NOT_AN_IMAGE)


def webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height in pixels from the first chunk of a WebP file.

    Source: RFC 9649 sections 2.5 (VP8, RFC 6386 9.1), 2.6 and 3.4 (VP8L), 2.7 (VP8X).

    Raises
    ------
    PhotoError
        `corrupt_image` when the chunk is none of these or too short.
    """
    chunk, data = head[12:16], head[20:30]
    if len(data) == 10:
        if chunk == b"VP8X":
            return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
        if chunk == b"VP8L" and data[0] == 0x2F:
            bits = int.from_bytes(data[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if chunk == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
            width, height = struct.unpack("<HH", data[6:10])
            return width & 0x3FFF, height & 0x3FFF
    raise PhotoError(ErrorCode.CORRUPT_IMAGE)


def _pillow_size(data: bytes, found: ContentType) -> tuple[int, int] | None:
    """Return width and height from the header, None when it is broken or not all there."""
    try:
        with warnings.catch_warnings():
            # Our own limit is checked by the caller.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=[_PILLOW_FORMATS[found]]) as image:
                return image.size
    except Image.DecompressionBombError:
        raise PhotoError(ErrorCode.IMAGE_TOO_LARGE) from None
    except _BROKEN:
        return None


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise PhotoError(ErrorCode.CORRUPT_IMAGE)
    if width * height > max_pixels:
        raise PhotoError(
            ErrorCode.IMAGE_TOO_LARGE,
            f"The photo has {width} x {height} pixels, {max_pixels} are allowed; scale it down.",
        )
