"""Annotated copies of photos: a box, a name and a similarity for each face.

Lines and letters grow with the photo, and small photos are enlarged first, so that the
labels can be read on a 64-pixel crop as on a 12-megapixel photo.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from faces.contracts.results import Box, DetectedFace, JobResult

MIN_LONG_SIDE = 640
KNOWN = (46, 160, 67)
UNKNOWN = (207, 112, 12)
TEXT = (255, 255, 255)

Rect = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the annotated copy."""


@dataclass(frozen=True)
class Label:
    """One label and where it goes."""

    text: str
    rect: Rect


def annotate(photo: Image.Image, faces: Sequence[DetectedFace]) -> Image.Image:
    """Return a copy of `photo` with every face marked.

    Parameters
    ----------
    photo : as it was uploaded; its EXIF orientation is applied, as boxes are upright.
    faces : of the job's result.
    """
    upright = ImageOps.exif_transpose(photo).convert("RGB")
    scale = max(1.0, MIN_LONG_SIDE / max(upright.size))
    if scale > 1:
        size = (round(upright.width * scale), round(upright.height * scale))
        upright = upright.resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(upright)
    line = max(2, round(max(upright.size) / 300))
    boxes = [_scaled(face.box, scale) for face in faces]
    for face, box in zip(faces, boxes, strict=True):
        draw.rectangle(box, outline=_colour(face), width=line)
    placed: list[Rect] = []
    for face, box in zip(faces, boxes, strict=True):
        font, text = _fitting_font(caption(face), upright.size)
        width, height = _text_size(font, text)
        pad = line * 1.5
        rect = place((width + 2 * pad, height + 2 * pad), box, upright.size, placed, line)
        placed.append(rect)
        draw.rectangle(rect, fill=_colour(face))
        draw.text((rect[0] + pad, rect[1] + pad), text, font=font, fill=TEXT, anchor="lt")
    return upright


def annotate_file(photo: Path | bytes, result: JobResult, to: Path) -> None:
    """Write the annotated copy of a photo to the file `to` (its suffix says the format)."""
    with Image.open(io.BytesIO(photo) if isinstance(photo, bytes) else photo) as image:
        copy = annotate(image, result.faces)
    to.parent.mkdir(parents=True, exist_ok=True)
    if to.suffix.lower() in (".jpg", ".jpeg"):
        copy.save(to, quality=88)
    else:
        copy.save(to)


def caption(face: DetectedFace) -> str:
    """Return what is written beside a face: name and similarity, or `unknown`."""
    if face.match is not None:
        return f"{face.match.name} {face.match.similarity:.2f}"
    return "unknown"


def place(
    size: tuple[float, float],
    box: Rect,
    canvas: tuple[int, int],
    taken: Sequence[Rect],
    gap: float,
) -> Rect:
    """Return where a label of `size` goes: near its box, on the canvas, over no other label.

    Above the box is best, then below, then inside; where all overlap an earlier label,
    the first free row counted from the box is taken.
    """
    width, height = size
    left = min(max(0.0, box[0]), max(0.0, canvas[0] - width))
    lowest = max(0.0, canvas[1] - height)
    tops = [box[1] - height - gap, box[3] + gap, box[1] + gap, box[3] - height - gap]
    rows = int(canvas[1] // height) if height else 0
    tops += sorted((row * height for row in range(rows)), key=lambda top: abs(top - box[1]))
    for top in tops:
        rect = (left, top, left + width, top + height)
        if 0 <= top <= lowest and not any(_overlap(rect, other) for other in taken):
            return rect
    top = min(max(0.0, tops[0]), lowest)
    return (left, top, left + width, top + height)


def _fitting_font(text: str, canvas: tuple[int, int]) -> tuple[ImageFont.FreeTypeFont, str]:
    """Return a font in which `text` fits the canvas' width, the text cut if it must be."""
    size = max(14.0, max(canvas) / 32)
    room = canvas[0] * 0.94
    font = _font(size)
    width = _text_size(font, text)[0]
    if width <= room:
        return font, text
    font = _font(max(14.0, size * room / width))
    shortened = text
    while len(shortened) > 1 and _text_size(font, shortened + "…")[0] > room:
        shortened = shortened[:-1]
    return font, text if _text_size(font, text)[0] <= room else shortened + "…"


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType; install its wheel")
    return font


def _text_size(font: ImageFont.FreeTypeFont, text: str) -> tuple[float, float]:
    left, top, right, bottom = font.getbbox(text, anchor="lt")
    return right - left, bottom - top


def _scaled(box: Box, scale: float) -> Rect:
    # `right` and `bottom` are exclusive in the contract, inclusive for Pillow.
    return (
        box.left * scale,
        box.top * scale,
        max(box.left, box.right - 1) * scale,
        max(box.top, box.bottom - 1) * scale,
    )


def _colour(face: DetectedFace) -> tuple[int, int, int]:
    return KNOWN if face.match is not None else UNKNOWN


def _overlap(one: Rect, two: Rect) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]
