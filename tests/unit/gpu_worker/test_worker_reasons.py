"""Every reason that a face is poor comes out of every kind of job, and does what it should."""

from dataclasses import replace

import numpy as np
import pytest

from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import JobKind, JobRequest, QualityFilter
from faces.contracts.results import JobResult, PoorReason
from gpu_worker.backends.base import Detection, RgbImage
from gpu_worker.pipeline import Breakers, stages
from gpu_worker.profiles import DEFAULT
from gpu_worker.sizes import Sizes
from tests.fixtures.photos import encoded
from tests.fixtures.worker_bench import Bench, noise
from tests.fixtures.worker_fakes import detection, unit

KINDS = {
    JobKind.DETECT: {},
    JobKind.IDENTIFY: {},
    JobKind.ENROLL: {"person_name": "Ann"},
    JobKind.VERIFY: {"person_id": "p"},
}


def turned() -> Detection:
    """A face that looks to the side: the nose stands beside an eye."""
    face = detection(100, 80, 120)
    landmarks = face.landmarks.copy()
    landmarks[2, 0] = landmarks[0, 0] - 10
    return replace(face, landmarks=landmarks)


def grey(level: int) -> RgbImage:
    """A picture with as little in it as can be."""
    return np.full((300, 400, 3), level, dtype=np.uint8)


def dim(image: RgbImage, share: float, onto: int = 0) -> RgbImage:
    return (image * share + onto * (1 - share)).astype(np.uint8)


# The picture, and where the detector finds the one face.
POOR: dict[PoorReason, tuple[RgbImage, Detection]] = {
    PoorReason.LOW_CONFIDENCE: (noise(), detection(100, 80, 120, confidence=0.92)),
    PoorReason.SMALL_BOUNDING_BOX: (noise(), detection(100, 80, 18)),
    PoorReason.LOW_SHARPNESS: (grey(128), detection(100, 80, 120)),
    PoorReason.LOW_BRIGHTNESS: (dim(noise(), 0.12), detection(100, 80, 120)),
    PoorReason.HIGH_BRIGHTNESS: (dim(noise(), 0.08, 255), detection(100, 80, 120)),
    PoorReason.EXTREME_POSE: (noise(), turned()),
}
LATER = {PoorReason.LOW_FACE_QUALITY, PoorReason.EXCEEDS_MAX_FACES}


def test_every_reason_is_tried() -> None:
    assert {*POOR, *LATER} == set(PoorReason)


def ask(bench: Bench, kind: JobKind, image: RgbImage, **params: object) -> JobResult:
    bench.gallery.people.setdefault("p", ("Bob", [unit(5)]))
    asked = {"kind": kind, "content_type": "image/png", "params": {**KINDS[kind], **params}}
    request = JobRequest.model_validate(asked)
    return bench.run(bench.submit(request, encoded(image, "PNG")))


@pytest.mark.parametrize("reason", POOR)
@pytest.mark.parametrize("kind", KINDS)
def test_a_poor_face_is_told_and_kept_out(kind: JobKind, reason: PoorReason) -> None:
    bench = Bench()
    image, found = POOR[reason]
    bench.detector.found = [found]

    result = ask(bench, kind, image, quality_filter="LOW")

    [face] = result.faces
    assert reason in face.quality.reasons
    if kind in (JobKind.DETECT, JobKind.IDENTIFY):
        assert result.state == "succeeded"
        assert (face.match, face.req_id) == (None, None)
        assert bench.gallery.unmatched == {}
    else:
        assert result.error is not None
        assert result.error.code is ErrorCode.POOR_FACE
        assert reason in result.error.message
        assert result.enrolment is None
        assert set(bench.gallery.people) == {"p"}


@pytest.mark.parametrize("reason", POOR)
def test_without_a_filter_identify_matches_it_all_the_same(reason: PoorReason) -> None:
    bench = Bench()
    image, found = POOR[reason]
    bench.detector.found = [found]
    [face] = ask(bench, JobKind.IDENTIFY, image).faces
    assert reason in face.quality.reasons
    assert face.req_id in bench.gallery.unmatched


@pytest.mark.parametrize("reason", POOR)
def test_force_enrols_it_with_a_warning(reason: PoorReason) -> None:
    bench = Bench()
    image, found = POOR[reason]
    bench.detector.found = [found]
    result = ask(bench, JobKind.ENROLL, image, force=True)
    assert result.enrolment is not None
    [guard] = bench.gallery.guards
    assert guard is not None
    assert guard.concerns == (ErrorCode.POOR_FACE,)


def scored() -> Bench:
    """A bench with two views of each face, which the network sees quite differently."""
    bench = Bench()
    bench.parts = replace(bench.parts, profile=DEFAULT)
    bench.stages = stages(bench.parts, Sizes(), Breakers.make())
    bench.detector.found = [detection(100, 80, 120)]
    return bench


@pytest.mark.parametrize("kind", [JobKind.IDENTIFY, JobKind.ENROLL, JobKind.VERIFY])
def test_views_that_disagree_make_a_face_poor(kind: JobKind) -> None:
    bench = scored()
    result = ask(bench, kind, noise(), quality_filter="LOW")
    [face] = result.faces
    assert PoorReason.LOW_FACE_QUALITY in face.quality.reasons
    assert face.quality.score is not None
    assert bench.gallery.unmatched == {}
    if kind is not JobKind.IDENTIFY:
        assert result.error is not None
        assert PoorReason.LOW_FACE_QUALITY in result.error.message


def test_force_enrols_a_face_whose_views_disagree_with_a_warning() -> None:
    bench = scored()
    assert ask(bench, JobKind.ENROLL, noise(), force=True).enrolment is not None
    [guard] = bench.gallery.guards
    assert guard is not None
    assert guard.concerns == (ErrorCode.POOR_FACE,)


@pytest.mark.parametrize("kind", [JobKind.DETECT, JobKind.IDENTIFY])
def test_faces_beyond_max_faces_are_left_out_and_say_so(kind: JobKind) -> None:
    bench = Bench()
    bench.detector.found = [detection(10 + 90 * n, 20, size) for n, size in enumerate((40, 80, 60))]
    result = ask(bench, kind, noise(), max_faces=1, quality_filter="MEDIUM")
    assert [face.box.width for face in result.faces] == [80]
    assert [face.box.width for face in result.left_out] == [60, 40]
    for face in result.left_out:
        assert face.quality.reasons[0] is PoorReason.EXCEEDS_MAX_FACES
        assert (face.match, face.req_id) == (None, None)
    assert len(bench.gallery.unmatched) == (kind is JobKind.IDENTIFY)


def test_all_of_few_faces_are_answered() -> None:
    bench = Bench()
    bench.detector.found = [detection(10, 20), detection(150, 20)]
    assert ask(bench, JobKind.IDENTIFY, noise(), max_faces=2).left_out == ()


@pytest.mark.parametrize("kind", [JobKind.ENROLL, JobKind.VERIFY])
def test_a_group_photo_does_not_silently_use_one_face(kind: JobKind) -> None:
    bench = Bench()
    bench.detector.found = [detection(140, 90, 120), detection(10, 10, 60)]
    result = ask(bench, kind, noise(), **({"force": True} if kind is JobKind.ENROLL else {}))
    assert [face.box.width for face in result.faces] == [120]
    [other] = result.left_out
    assert other.box.width == 60
    assert PoorReason.EXCEEDS_MAX_FACES in other.quality.reasons


@pytest.mark.parametrize("level", QualityFilter)
def test_a_stricter_filter_keeps_out_more(level: QualityFilter) -> None:
    bench = Bench()
    bench.detector.found = [detection(10 + 90 * n, 20, size) for n, size in enumerate((30, 60, 85))]
    result = ask(bench, JobKind.IDENTIFY, noise(), quality_filter=level)
    kept = sum(face.req_id is not None for face in result.faces)
    assert kept == {"NONE": 3, "LOW": 3, "MEDIUM": 2, "HIGH": 1}[level]
