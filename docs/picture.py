"""Write `result.jpg`, the demo's annotated photos side by side, and pictures of the web page.

    make demo && .venv/bin/python -m docs.picture
    make test ARGS=tests/browser && .venv/bin/python -m docs.picture page
    make test ARGS=tests/browser && .venv/bin/python -m docs.picture operations

The astronaut's photo is NASA's and in the public domain.
"""

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("01-astronaut.jpg", "02-mirrored.jpg")
HEIGHT_PX = 400
PAGE_HEIGHT_PX = 905
OPERATIONS_HEIGHT_PX = 1400


def main() -> None:
    """Write the picture that is asked for."""
    if sys.argv[1:] == ["page"]:
        write_page()
    elif sys.argv[1:] == ["operations"]:
        write_operations()
    else:
        write_result()


def write_page() -> None:
    """Write the top of the page as the tests saw it."""
    seen = Image.open(ROOT / ".local" / "screenshots" / "stack-photos.png").convert("RGB")
    top = seen.crop((0, 0, seen.width, PAGE_HEIGHT_PX))
    top.save(ROOT / "docs" / "images" / "page.jpg", quality=88, optimize=True)


def write_operations() -> None:
    """Write the top of the operations page as the tests saw it, with a made-up service."""
    seen = Image.open(ROOT / ".local" / "screenshots" / "operations-desktop-light.png")
    top = seen.convert("RGB").crop((0, 0, seen.width, OPERATIONS_HEIGHT_PX))
    size = (1000, OPERATIONS_HEIGHT_PX * 1000 // seen.width)
    small = top.resize(size, Image.Resampling.LANCZOS)
    small.save(ROOT / "docs" / "images" / "page-operations.png", optimize=True)


def write_result() -> None:
    """Write the demo's photos."""
    photos = [Image.open(ROOT / ".local" / "demo" / name) for name in SHOWN]
    scaled = [
        photo.resize((photo.width * HEIGHT_PX // photo.height, HEIGHT_PX), Image.Resampling.LANCZOS)
        for photo in photos
    ]
    picture = Image.new("RGB", (sum(photo.width for photo in scaled), HEIGHT_PX))
    left = 0
    for photo in scaled:
        picture.paste(photo, (left, 0))
        left += photo.width
    picture.save(ROOT / "docs" / "images" / "result.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
