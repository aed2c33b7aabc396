"""Annotated copies of photos."""

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faces.client.draw import KNOWN, UNKNOWN, annotate, annotate_file, caption, place
from faces.contracts.results import (
    Box,
    DetectedFace,
    FaceQuality,
    JobResult,
    Landmarks,
    Match,
    Point,
    Pose,
)
from tests.unit.client.fake_service import NOW

_POINT = Point(x=0, y=0)
_LANDMARKS = Landmarks(
    left_eye=_POINT, right_eye=_POINT, nose=_POINT, mouth_left=_POINT, mouth_right=_POINT
)
_QUALITY = FaceQuality(sharpness=50, brightness=50, pose=Pose(roll=0, yaw=0, pitch=0), size_px=50)


def face(box: tuple[int, int, int, int], name: str | None = None) -> DetectedFace:
    match = None
    if name is not None:
        match = Match(person_id="p", name=name, similarity=0.873, face_id="f", threshold=0.6)
    left, top, right, bottom = box
    return DetectedFace(
        box=Box(left=left, top=top, right=right, bottom=bottom),
        landmarks=_LANDMARKS,
        confidence=0.99,
        quality=_QUALITY,
        match=match,
    )


def colours(image: Image.Image) -> set[tuple[int, ...]]:
    counts = image.getcolors(maxcolors=image.width * image.height)
    assert counts is not None
    return {colour for _, colour in counts if isinstance(colour, tuple)}


def test_captions() -> None:
    assert caption(face((0, 0, 9, 9), "Ann")) == "Ann 0.87"
    assert caption(face((0, 0, 9, 9))) == "unknown"


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (250, 250), (1200, 630), (4000, 3000)])
def test_marks_are_there_at_any_size(size: tuple[int, int]) -> None:
    width, height = size
    box = (width // 4, height // 4, width // 2, height // 2)
    photo = Image.new("RGB", size)
    known = annotate(photo, [face(box, "Ann")])
    unknown = annotate(photo, [face(box)])
    assert max(known.size) >= 640
    assert KNOWN in colours(known)
    assert UNKNOWN in colours(unknown)
    assert photo.getextrema() == ((0, 0),) * 3  # the photo itself stays as it was


def test_a_photo_without_faces_is_only_copied() -> None:
    photo = Image.new("RGB", (800, 600), (1, 2, 3))
    assert annotate(photo, []).tobytes() == photo.tobytes()


def test_boxes_follow_the_upright_photo() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to see it upright
    buffer = io.BytesIO()
    Image.new("RGB", (1000, 500)).save(buffer, "JPEG", exif=exif)
    with Image.open(buffer) as photo:
        assert annotate(photo, [face((10, 800, 200, 990))]).size == (500, 1000)


def test_the_file_is_written(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (100, 100)).save(buffer, "PNG")
    result = JobResult(
        job_id="j",
        kind="identify",
        tenant="default",
        collection="default",
        state="succeeded",
        faces=(face((10, 10, 50, 50), "Zoë Ångström"),),
        code_version="test",
        submitted_at=NOW,
        finished_at=NOW,
    )
    annotate_file(buffer.getvalue(), result, tmp_path / "new" / "copy.jpg")
    with Image.open(tmp_path / "new" / "copy.jpg") as copy:
        assert copy.format == "JPEG"


def test_a_very_long_name_stays_on_the_photo() -> None:
    copy = annotate(Image.new("RGB", (640, 480)), [face((600, 0, 640, 40), "W" * 200)])
    assert KNOWN in colours(copy)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(0, 300), st.integers(10, 140)),
        min_size=1,
        max_size=12,
    )
)
def test_labels_stay_on_the_photo_and_apart(boxes: list[tuple[int, int, int]]) -> None:
    canvas = (640, 480)
    taken: list[tuple[float, float, float, float]] = []
    for left, top, side in boxes:
        rect = place((120, 20), (left, top, left + side, top + side), canvas, taken, 3)
        assert rect[0] >= 0
        assert rect[2] <= canvas[0]
        assert rect[1] >= 0
        assert rect[3] <= canvas[1]
        for other in taken:
            apart = (
                rect[2] <= other[0]
                or other[2] <= rect[0]
                or rect[3] <= other[1]
                or other[3] <= rect[1]
            )
            assert apart
        taken.append(rect)
