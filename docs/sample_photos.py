"""Write some photos to try the service with: `python -m docs.sample_photos FOLDER`.

Three of an astronaut (NASA's portrait of Eileen Collins, in the public domain, from
scikit-image): as she was photographed, mirrored and brighter, cropped; and a cup of coffee.
"""

import sys
from pathlib import Path

from local_stack.demo import photos


def main(folder: Path) -> None:
    """Write the photos."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "eileen-1.jpg").write_bytes(photos.astronaut())
    (folder / "eileen-2.jpg").write_bytes(photos.astronaut_mirrored())
    (folder / "eileen-3.webp").write_bytes(photos.astronaut_cropped())
    (folder / "coffee.png").write_bytes(photos.coffee())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "photos"))
