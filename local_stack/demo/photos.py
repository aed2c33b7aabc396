"""The photos that the demo asks about, made by code from what scikit-image ships.

The astronaut is Eileen Collins, photographed by NASA and in the public domain.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import skimage.data
from PIL import Image, ImageEnhance, ImageOps

ASTRONAUT = "Eileen Collins"


def astronaut() -> bytes:
    """Return the photo as a JPEG file, 512 x 512 pixels."""
    return _encoded(_astronaut(), "JPEG", 92)


def astronaut_mirrored() -> bytes:
    """Return another version: mirrored, smaller, brighter, and compressed harder."""
    small = ImageOps.mirror(_astronaut()).resize((384, 384), Image.Resampling.LANCZOS)
    return _encoded(ImageEnhance.Brightness(small).enhance(1.2), "JPEG", 75)


def astronaut_cropped() -> bytes:
    """Return another version: cropped off the middle, larger, with less contrast, as WebP."""
    cropped = _astronaut().crop((90, 0, 410, 340)).resize((480, 510), Image.Resampling.BICUBIC)
    return _encoded(ImageEnhance.Contrast(cropped).enhance(0.85), "WEBP", 80)


def coffee() -> bytes:
    """Return a photo of a cup of coffee: no face in it."""
    pixels = skimage.data.coffee()  # type: ignore[no-untyped-call]
    return _encoded(Image.fromarray(pixels), "PNG")


def no_photo() -> bytes:
    """Return a file that only claims to be a photo."""
    return b"These are words, whatever the name of the file says.\n" * 20


def mirrored(photo: Path) -> bytes:
    """Return the photo of a file, mirrored, as a JPEG file."""
    with Image.open(photo) as image:
        return _encoded(ImageOps.mirror(ImageOps.exif_transpose(image).convert("RGB")), "JPEG", 90)


@dataclass(frozen=True)
class TestData:
    """Photos of real people in the folder that FACES_TEST_DATA names.

    Attributes
    ----------
    people : name and two photos of each person that is enrolled and asked for.
    strangers : photos of people who are not enrolled.
    group : a photo of six people, or None.
    """

    people: tuple[tuple[str, Path, Path], ...]
    strangers: tuple[Path, ...]
    group: Path | None


_KNOWN = ("Abel_Pacheco", "Akhmed_Zakayev", "Amber_Tamblyn", "Anders_Fogh_Rasmussen")
_STRANGERS = ("Abdul_Rahman", "Afton_Smith", "Arnold_Palmer")


def find_test_data(folder: Path) -> TestData:
    """Return the photos of `folder` that the demo plays with.

    Raises
    ------
    FileNotFoundError
        Naming the first file that is missing.
    """

    def lfw(name: str, number: int) -> Path:
        return _existing(folder / "lfw-dev" / "images" / name / f"{name}_{number:04d}.jpg")

    group = folder / "photos" / "multiface.jpg"
    return TestData(
        people=tuple((name.replace("_", " "), lfw(name, 1), lfw(name, 2)) for name in _KNOWN),
        strangers=tuple(lfw(name, 1) for name in _STRANGERS),
        group=group if group.exists() else None,
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(path)
    return path


def _astronaut() -> Image.Image:
    pixels = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    return Image.fromarray(pixels)


def _encoded(image: Image.Image, form: str, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, quality=quality)
    return buffer.getvalue()
