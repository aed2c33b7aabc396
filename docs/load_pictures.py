"""Draw the pictures of docs/recovery.md from what the last `make load` measured.

    make load ARGS="stages steady --seconds 60" && .venv/bin/python -m docs.load_pictures

Draws what of both is in `.local/load`.
"""

import json
from pathlib import Path

from tests.load.plots import draw_memory, draw_stages
from tests.load.stages import ROOT, Stage

MEASURED = ROOT / ".local" / "load"
IMAGES = ROOT / "docs" / "images"


def main(measured: Path = MEASURED, images: Path = IMAGES) -> None:
    """Write `load-stages.svg` and `load-memory.svg`."""
    if (stages := measured / "stages.json").is_file():
        done = [Stage(**each) for each in json.loads(stages.read_text())]
        draw_stages(done, images / "load-stages.svg")
    if (memory := measured / "memory.json").is_file():
        draw_memory(json.loads(memory.read_text()), images / "load-memory.svg")


if __name__ == "__main__":
    main()
