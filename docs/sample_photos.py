"""Write some photos to try the service with: `python -m docs.sample_photos FOLDER`.

An astronaut (NASA's portrait of Eileen Collins, in the public domain, from scikit-image) as
she was photographed, mirrored and darker; and a rocket without a face.
"""

import sys
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps
from skimage import data


def main(folder: Path) -> None:
    """Write the photos."""
    folder.mkdir(parents=True, exist_ok=True)
    astronaut = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]
    rocket = Image.fromarray(data.rocket())  # type: ignore[no-untyped-call]
    darker = ImageEnhance.Brightness(astronaut).enhance(0.7)
    photos = {
        "eileen-1": astronaut,
        "eileen-2": ImageOps.mirror(astronaut),
        "eileen-3": darker,
        "rocket": rocket,
    }
    for name, photo in photos.items():
        photo.save(folder / f"{name}.jpg", quality=92)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "photos"))
