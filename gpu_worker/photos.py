"""From an uploaded object to upright RGB pixels, or to an error that a person understands."""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.image_head import ImageHead, check_pixels, read_head
from faces.contracts.jobs import ContentType
from faces.contracts.results import PhotoInfo
from gpu_worker.backends.base import RgbImage
from gpu_worker.structure import check_structure, orientation, without_notes

# Pillow warns and fails at limits of its own; `decode` checks the setting's before any
# pixel is allocated, so that one number counts.
Image.MAX_IMAGE_PIXELS = None

# EXIF 2.32, section 4.6.4: what has to be done to an upright photo to have the stored one;
# sideways means that rows and columns change places, after the rest.
_UPSIDE_DOWN, _MIRRORED, _SIDEWAYS = (3, 4, 7, 8), (2, 3, 6, 7), (5, 6, 7, 8)
_BAND_PX = 1 << 18
"""Copied at once: Pillow's own way to numpy holds a whole photo three times."""

_BACKGROUND = (255, 255, 255)
# Pillow's names.
_FORMATS = {ContentType.JPEG: "JPEG", ContentType.PNG: "PNG", ContentType.WEBP: "WEBP"}


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo.

    Attributes
    ----------
    pixels : (height, width, 3) uint8 RGB, upright, contiguous.
    """

    pixels: RgbImage
    info: PhotoInfo


def check(data: bytes, announced: ContentType, max_pixels: int) -> ImageHead:
    """Refuse by its first bytes what is no photo that is taken; return what they say.

    Raises
    ------
    PhotoError
        `upload_empty`, `not_an_image`, `unsupported_image`, `wrong_content_type` or
        `image_too_large`.
    """
    if not data:
        raise PhotoError(ErrorCode.UPLOAD_EMPTY)
    head = read_head(data, announced)
    if head.size is not None:
        check_pixels(head.size, max_pixels)
    return head


def decode(data: bytes, announced: ContentType, max_pixels: int) -> Photo:
    """Decode a JPEG, PNG or WebP file; of an animation the first picture.

    Raises
    ------
    PhotoError
        As `check` does, and `corrupt_image`.
    """
    head = check(data, announced, max_pixels)
    try:
        return _read(data, head, max_pixels)
    except (PhotoError, MemoryError):
        raise
    except Exception as error:
        raise PhotoError(ErrorCode.CORRUPT_IMAGE) from error


def _read(data: bytes, head: ImageHead, max_pixels: int) -> Photo:
    kind = head.content_type
    check_structure(data, kind)
    name, exif, xmp = _FORMATS[kind], b"", b""
    if kind is ContentType.JPEG:
        data, exif, xmp = without_notes(data)
    with Image.open(io.BytesIO(data), formats=[name]) as image:
        check_pixels(image.size, max_pixels)
        if head.size not in (None, image.size):  # of two frame headers Pillow takes the last
            raise PhotoError(ErrorCode.CORRUPT_IMAGE)
        image.load()
        if kind is not ContentType.JPEG:
            exif, xmp = _notes(image)
        pixels = _upright_rgb(image, orientation(exif, xmp))
    height, width = pixels.shape[:2]
    return Photo(pixels, PhotoInfo(width=width, height=height, format=name))


def _upright_rgb(image: Image.Image, orientation: int) -> RgbImage:
    """Return the pixels of a loaded image, converted and turned band by band."""
    width, height = image.size
    upright = (width, height, 3) if orientation in _SIDEWAYS else (height, width, 3)
    pixels = np.empty(upright, dtype=np.uint8)
    stored = _as_stored(pixels, orientation)
    rows = max(1, _BAND_PX // width)
    for top in range(0, height, rows):
        end = min(height, top + rows)
        band = image if end - top == height else image.crop((0, top, width, end))
        stored[top:end] = np.asarray(_to_rgb(band))
    return pixels


def _as_stored(upright: RgbImage, orientation: int) -> RgbImage:
    """Return a view of upright pixels in the file's order of rows and columns."""
    if orientation in _UPSIDE_DOWN:
        upright = upright[::-1]
    if orientation in _MIRRORED:
        upright = upright[:, ::-1]
    return upright.transpose(1, 0, 2) if orientation in _SIDEWAYS else upright


def _notes(image: Image.Image) -> tuple[bytes, bytes]:
    """Return the EXIF and XMP of a loaded PNG or WebP, which Pillow has not looked into."""
    hexed = image.info.get("Raw profile type exif")
    found = {}
    for name in ("exif", "xmp"):
        value = image.info.get(name)  # a text that a PNG calls so is none of them
        found[name] = value if isinstance(value, bytes) else b""
    if not found["exif"] and isinstance(hexed, str):
        with contextlib.suppress(ValueError):  # ImageMagick: a name and a length come first
            found["exif"] = bytes.fromhex("".join(hexed.split("\n")[3:]))
    return found["exif"], found["xmp"]


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit RGB, what is transparent laid over white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        # 16-bit grey, which convert("RGB") would clip at 255 instead of scaling it.
        grey = np.asarray(image).astype(np.uint32) // 257
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", image.size, _BACKGROUND)
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image.convert("RGB")
