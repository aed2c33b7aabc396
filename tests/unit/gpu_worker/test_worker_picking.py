"""Faces that turn out to be poor when they are embedded."""

import numpy as np
import pytest

from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import (
    MAX_FACES,
    JobKind,
    JobMessage,
    JobParams,
    JobRequest,
    QualityFilter,
)
from faces.contracts.results import FaceQuality, PoorReason
from gpu_worker.analysis import central_face, find_faces
from gpu_worker.picking import pick, pick_again
from gpu_worker.profiles import DEFAULT, PLAIN
from gpu_worker.protocol import Task
from gpu_worker.queue import Received
from gpu_worker.stages.embed import Embed
from tests.fixtures.worker_fakes import FakeEmbedder, detection, unit

IMAGE = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)


def embedded(kind: JobKind, **params: object) -> Task:
    """A job about two faces (or the larger one) that comes from the network."""
    given = {JobKind.ENROLL: {"person_name": "Ann"}, JobKind.VERIFY: {"person_id": "p"}}
    asked = JobParams.model_validate(given.get(kind, {}) | params)
    message = JobMessage(job_id="j", key="k", size=1)
    task = Task(Received("m", "r", "{}", 1), message, request=JobRequest(kind=kind, params=asked))
    found = [detection(20, 100, 30), detection(150, 60, 180)]
    pick(task, IMAGE, find_faces(IMAGE, found, asked.quality_filter))
    task.vectors = np.stack([unit(number) for number, _ in enumerate(task.picked)])
    return task


def scored(task: Task, *poor: bool) -> list[FaceQuality]:
    reasons = {True: (PoorReason.LOW_FACE_QUALITY,), False: ()}
    return [
        face.quality.model_copy(update={"score": 0.5 if bad else 50.0, "reasons": reasons[bad]})
        for (_, face), bad in zip(task.picked, poor, strict=True)
    ]


def test_good_faces_stay_and_show_their_score() -> None:
    task = embedded(JobKind.IDENTIFY)
    pick_again(task, scored(task, False, False))
    assert len(task.picked) == len(task.vectors) == 2
    assert [face.quality.score for face in task.faces] == [50, 50]


def test_a_poor_face_is_only_detected_where_that_was_asked() -> None:
    task = embedded(JobKind.IDENTIFY, quality_filter=QualityFilter.LOW)
    vectors = task.vectors
    pick_again(task, scored(task, True, False))
    assert [number for number, _ in task.picked] == [1]
    assert (task.vectors == vectors[[1]]).all()
    assert task.faces[0].quality.reasons == (PoorReason.LOW_FACE_QUALITY,)
    assert not task.settled


def test_without_a_filter_poor_faces_are_matched() -> None:
    task = embedded(JobKind.IDENTIFY)
    pick_again(task, scored(task, True, True))
    assert len(task.picked) == 2


@pytest.mark.parametrize(
    ("kind", "params"),
    [(JobKind.ENROLL, {}), (JobKind.VERIFY, {"quality_filter": QualityFilter.LOW})],
)
def test_a_poor_face_is_not_enrolled_or_verified(kind: JobKind, params: dict[str, object]) -> None:
    task = embedded(kind, **params)
    pick_again(task, scored(task, True))
    assert task.error is not None
    assert task.error.code is ErrorCode.POOR_FACE
    assert "LOW_FACE_QUALITY" in task.error.detail
    assert not task.picked


def test_force_enrols_a_poor_face() -> None:
    task = embedded(JobKind.ENROLL, force=True)
    pick_again(task, scored(task, True))
    assert task.error is None
    assert len(task.picked) == 1


def test_what_was_embedded_is_let_go() -> None:
    tasks = [embedded(JobKind.IDENTIFY) for _ in range(2)]
    Embed(FakeEmbedder(), PLAIN)(tasks)
    for task in tasks:
        assert [number for number, _ in task.picked] == [0, 1]
        assert len(task.vectors) == 2
        assert not any(face.views for _, face in task.picked)


def test_of_a_crowd_only_those_are_cut_out_whom_a_job_may_be_about() -> None:
    corners = [(x, y) for x in (0, 340) for y in range(0, 240, 4)]
    found = [detection(x, y, 60) for x, y in corners] + [detection(190, 140, 20)]
    faces = find_faces(IMAGE, found, QualityFilter.NONE, DEFAULT)
    assert len(faces) == len(found) > MAX_FACES + 1
    central = central_face(faces, IMAGE)
    assert central.box.width == 20
    assert [len(face.views) for face in faces[:MAX_FACES]] == [2] * MAX_FACES
    assert [face for face in faces[MAX_FACES:] if face.views] == [central]
    assert all(face.quality.size_px for face in faces)
