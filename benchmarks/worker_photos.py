"""JPEG files of the worker benchmark: sizes that clients send, faces as they come."""

import io
import os
from pathlib import Path

from PIL import Image, ImageOps

from local_stack.demo.photos import astronaut

QUALITY = 90
PORTRAITS = 6
SMALL_SIDE = 250

SIZES = {
    "64x64": (64, 64),
    "250x250": (250, 250),
    "640x480": (640, 480),
    "1920x1080": (1920, 1080),
}
ORIGINALS = "originals"

LARGE, LARGE_SIZE = "4000x3000", (4000, 3000)
"""Only for the memory: of twelve megapixels."""


def write_photos(folder: Path) -> tuple[dict[str, Path], str]:
    """Write a folder of JPEG files for each size; return them, and what is in them.

    Without `FACES_TEST_DATA` all show one public photo.
    """
    large, small, what = _sources()
    made = {}
    for name, size in SIZES.items():
        sources = small if max(size) <= SMALL_SIDE else large
        made[name] = folder / name
        _write(made[name], [ImageOps.fit(photo, size) for photo in sources])
    made[ORIGINALS] = folder / ORIGINALS
    _write(made[ORIGINALS], large)
    return made, what


def write_large(folder: Path) -> Path:
    """Write a folder with one photo of twelve megapixels; return it."""
    large, _, _ = _sources()
    made = folder / LARGE
    _write(made, [ImageOps.fit(large[0], LARGE_SIZE)])
    return made


def _sources() -> tuple[list[Image.Image], list[Image.Image], str]:
    data = os.environ.get("FACES_TEST_DATA")
    if not data:
        whole = Image.open(io.BytesIO(astronaut())).convert("RGB")
        face = whole.crop((100, 0, 350, 250))
        return [whole], [face], "one public photo (FACES_TEST_DATA is not set)"
    portraits = [_read(path) for path in sorted(Path(data, "photos").glob("*.jpg"))]
    people = sorted(Path(data, "lfw-dev", "images").iterdir())
    chosen = people[:: max(1, len(people) // (PORTRAITS * 4))]
    faces = [_read(sorted(person.iterdir())[0]) for person in chosen]
    return portraits, faces, f"{len(portraits)} large photos, {len(faces)} of LFW"


def _read(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def _write(folder: Path, photos: list[Image.Image]) -> None:
    folder.mkdir(parents=True)
    for number, photo in enumerate(photos):
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=QUALITY)
        (folder / f"{number:03d}.jpg").write_bytes(file.getvalue())
