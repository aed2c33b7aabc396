"""The same figures give the same pictures, so that a page changes only with its figures."""

import json
from dataclasses import asdict
from pathlib import Path

from docs.load_pictures import main
from tests.load.stages import USERS, Stage


def test_pictures_are_drawn_from_what_was_measured(tmp_path: Path) -> None:
    done = [Stage(users, 200, 1, 9.5, 300, 900 * users) for users in USERS]
    measured, images = tmp_path / "measured", tmp_path / "images"
    measured.mkdir()
    main(measured, images)
    assert not images.exists()
    (measured / "stages.json").write_text(json.dumps([asdict(each) for each in done]))
    (measured / "memory.json").write_text(json.dumps({"workers": [(0, 80), (1, 90)]}))
    main(measured, images)
    first = {each.name: each.read_bytes() for each in images.iterdir()}
    assert first.keys() == {"load-stages.svg", "load-memory.svg"}
    main(measured, images)
    assert {each.name: each.read_bytes() for each in images.iterdir()} == first
    assert max(map(len, first.values())) < 100_000
