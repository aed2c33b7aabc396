"""The demo judges answers rightly; its photos are what they claim."""

import io
from pathlib import Path

import pytest
from PIL import Image

from faces.contracts.errors import ErrorCode
from faces.contracts.results import (
    Box,
    DetectedFace,
    FaceQuality,
    Landmarks,
    Match,
    Point,
    Pose,
)
from local_stack.demo import photos
from local_stack.demo.play import Answer, Expected

_POINT = Point(x=0, y=0)


def face(name: str | None = None) -> DetectedFace:
    match = None
    if name is not None:
        match = Match(person_id="p", name=name, similarity=0.9, face_id="f", threshold=0.6)
    return DetectedFace(
        box=Box(left=0, top=0, right=9, bottom=9),
        landmarks=Landmarks(
            left_eye=_POINT, right_eye=_POINT, nose=_POINT, mouth_left=_POINT, mouth_right=_POINT
        ),
        confidence=1,
        quality=FaceQuality(
            sharpness=1, brightness=1, pose=Pose(roll=0, yaw=0, pitch=0), size_px=9
        ),
        match=match,
    )


ANN = Expected(frozenset({"Ann"}))


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        (Expected(faces=1), Answer((face(),)), True),
        (Expected(faces=1), Answer((face("Ann"),)), False),
        (Expected(faces=1), Answer((face(), face())), False),
        (Expected(faces=0), Answer(()), True),
        (Expected(faces=0), Answer((face(),)), False),
        (Expected(), Answer(()), False),
        (Expected(), Answer((face(), face())), True),
        (ANN, Answer((face("Ann"),)), True),
        (ANN, Answer((face("Ann"), face())), True),
        (ANN, Answer((face("Bob"),)), False),
        (ANN, Answer((face("Ann"), face("Bob"))), False),
        (ANN, Answer((face("Ann"), face("Ann"))), False),
        (ANN, Answer((face(),)), False),
        (ANN, Answer(error=ErrorCode.NO_FACE), False),
        (Expected(error=ErrorCode.NOT_AN_IMAGE), Answer(error=ErrorCode.NOT_AN_IMAGE), True),
        (Expected(error=ErrorCode.NOT_AN_IMAGE), Answer(error=ErrorCode.INTERNAL), False),
        (Expected(error=ErrorCode.NOT_AN_IMAGE), Answer(()), False),
    ],
)
def test_only_right_answers_count(expected: Expected, answer: Answer, right: bool) -> None:
    assert expected.met_by(answer) is right


def test_answers_and_expectations_read_alike() -> None:
    assert str(Answer((face(), face("Ann")))) == "Ann 0.90, 1 unknown"
    assert str(Expected(frozenset({"Ann"}), faces=3)) == "Ann + 2 unknown"
    assert str(Expected(faces=6)) == "6 unknown"
    assert str(Answer()) == str(Expected(faces=0)) == "no faces"
    failed = ErrorCode.NOT_AN_IMAGE
    assert str(Answer(error=failed)) == str(Expected(error=failed)) == "not_an_image"


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (photos.astronaut, "JPEG"),
        (photos.astronaut_mirrored, "JPEG"),
        (photos.astronaut_cropped, "WEBP"),
        (photos.coffee, "PNG"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_photos_are_real_files(make: object, form: str) -> None:
    assert callable(make)
    with Image.open(io.BytesIO(make())) as image:
        image.load()
        assert image.format == form


def test_the_file_that_is_no_photo_is_none() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(photos.no_photo()))


def test_missing_test_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Abel_Pacheco_0001\.jpg"):
        photos.find_test_data(tmp_path)
