"""Put the demo's annotated photos side by side into `docs/images/result.jpg`.

    make demo && .venv/bin/python -m docs.picture

The astronaut's photo is NASA's and in the public domain.
"""

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("01-astronaut.jpg", "02-mirrored.jpg")
HEIGHT_PX = 400


def main() -> None:
    """Write the picture."""
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
