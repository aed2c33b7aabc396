"""The same photo against an unchanged gallery: answered without a worker, or not at all."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from chalice_app.intake import Intake
from faces.cache.cache import Question
from faces.contracts.errors import TransientError
from faces.contracts.ids import derived_id, id_time, new_id
from faces.contracts.jobs import JobKind, JobParams, JobRequest
from faces.contracts.names import result_key, upload_key
from faces.contracts.results import (
    Box,
    DetectedFace,
    FaceQuality,
    JobResult,
    Landmarks,
    Match,
    Point,
    Pose,
    Verification,
)
from tests.unit.chalice_app.fakes import (
    NOW,
    STACK,
    FakeContext,
    make_settings,
    notification,
    photo,
    received,
)

REQ, RESP = f"{STACK}-req-queue", f"{STACK}-resp-queue"
OUT = f"{STACK}-out-bucket"
PHOTO = photo()
AT = Point(x=1, y=1)
FACE = DetectedFace(
    box=Box(left=0, top=0, right=9, bottom=9),
    landmarks=Landmarks(left_eye=AT, right_eye=AT, nose=AT, mouth_left=AT, mouth_right=AT),
    confidence=1,
    quality=FaceQuality(sharpness=50, brightness=50, pose=Pose(roll=0, yaw=0, pitch=0), size_px=9),
)
KNOWN = FACE.model_copy(
    update={
        "match": Match(
            person_id=new_id(), name="Ann", similarity=0.9, face_id=new_id(), threshold=0.65
        )
    }
)


class Gallery:
    """The gallery's part: versions, and unknown faces that are kept."""

    def __init__(self) -> None:
        self.version = "1:1"
        self.kept: set[str] = set()
        self.renewed: list[tuple[dict[str, str], str, datetime]] = []
        self.away = False
        self.gone: set[str] = set()

    @contextmanager
    def holding(self, faces: Collection[str]) -> Iterator[dict[str, tuple[str, str]]]:
        assert KNOWN.match is not None
        owner = (KNOWN.match.person_id, KNOWN.match.name)
        yield {face: owner for face in faces if face not in self.gone}

    @contextmanager
    def holding_person(self, person_id: str) -> Iterator[bool]:
        yield person_id not in self.gone

    def collection_version(self, tenant: str, collection: str) -> str:
        if self.away:
            raise TransientError
        return self.version

    def renew_unmatched(
        self, renewed: Mapping[str, str], *, job_id: str, expires_at: datetime
    ) -> bool:
        self.renewed.append((dict(renewed), job_id, expires_at))
        return renewed.keys() <= self.kept


@pytest.fixture
def context() -> FakeContext:
    made = FakeContext(settings=make_settings(CACHE_URL="redis://nowhere"), gallery=Gallery())
    made.cache.work_as("workers")
    return made


def take_in(context: FakeContext, request: JobRequest | None = None, data: bytes = PHOTO) -> str:
    """Upload a photo and let intake have it; return the job's id."""
    job_id = context.upload(data, request)
    intake = Intake(
        context.settings, context.objects, context.queues, context.results, context.repeats
    )
    intake.handle(received(notification(upload_key(job_id))))
    return job_id


def work_on(
    context: FakeContext,
    job_id: str,
    *faces: DetectedFace,
    verification: Verification | None = None,
) -> None:
    """Do what a worker does at the end: keep the answer."""
    result = JobResult(
        job_id=job_id,
        kind="identify",
        tenant="default",
        collection="default",
        file_name="first.jpg",
        state="succeeded",
        faces=faces,
        verification=verification,
        timings_ms={"detect": 1.0},
        worker_id="i-1",
        code_version="1",
        submitted_at=NOW,
        finished_at=context.clock(),
    )
    question = context.cache.question(job_id)
    assert question is not None
    context.cache.keep_answer(question, "workers", result.model_dump_json().encode())


def answer(context: FakeContext, job_id: str) -> JobResult | None:
    body = context.objects.read(OUT, result_key(job_id))
    return None if body is None else JobResult.model_validate_json(body)


def asked_before(context: FakeContext, *faces: DetectedFace) -> str:
    first = take_in(context)
    work_on(context, first, *faces)
    context.queues.sent.clear()
    return first


def test_a_new_photo_goes_to_a_worker(context: FakeContext) -> None:
    job_id = take_in(context)
    assert [message["job_id"] for message in context.queues.on(REQ)] == [job_id]
    question = context.cache.question(job_id)
    assert question is not None
    assert question.version == "1:1"


def test_the_same_photo_is_answered_as_before(context: FakeContext) -> None:
    asked_before(context, KNOWN)
    context.clock.move(5)
    job_id = take_in(context, JobRequest(file_name="second.jpg"))
    result = answer(context, job_id)
    assert result is not None
    assert result.cached
    assert result.faces == (KNOWN,)
    assert (result.job_id, result.file_name) == (job_id, "second.jpg")
    assert result.submitted_at == id_time(job_id)
    assert result.finished_at == context.clock()
    assert result.worker_id is None
    assert not context.queues.on(REQ)
    assert [done["job_id"] for done in context.queues.on(RESP)] == [job_id]
    assert context.cache.result(job_id), "who waits is woken"


def test_an_unknown_face_gets_an_id_of_its_own(context: FakeContext) -> None:
    old = new_id()
    unknown = FACE.model_copy(
        update={"req_id": old, "req_id_expires_at": context.clock() + timedelta(minutes=10)}
    )
    asked_before(context, KNOWN, unknown)
    context.gallery.kept = {old}
    context.clock.move(60)
    job_id = take_in(context)
    result = answer(context, job_id)
    assert result is not None
    assert result.faces[0] == KNOWN
    expires_at = context.clock() + timedelta(minutes=10)
    assert result.faces[1].req_id == derived_id(job_id, "face-1")
    assert result.faces[1].req_id_expires_at == expires_at
    assert context.gallery.renewed == [({old: derived_id(job_id, "face-1")}, job_id, expires_at)]


def test_an_unknown_face_that_is_no_longer_kept_goes_to_a_worker(context: FakeContext) -> None:
    unknown = FACE.model_copy(update={"req_id": new_id(), "req_id_expires_at": NOW})
    asked_before(context, unknown)
    job_id = take_in(context)
    assert answer(context, job_id) is None
    assert len(context.queues.on(REQ)) == 1


def test_a_changed_gallery_is_never_answered_from_the_past(context: FakeContext) -> None:
    asked_before(context, KNOWN)
    context.gallery.version = "1:2"
    assert answer(context, take_in(context)) is None
    assert len(context.queues.on(REQ)) == 1


def test_a_change_while_the_worker_looked_makes_the_answer_count_for_nobody(
    context: FakeContext,
) -> None:
    first = take_in(context)
    context.gallery.version = "1:2"  # the worker may have seen it, or not
    work_on(context, first, KNOWN)
    assert answer(context, take_in(context)) is None


def test_answers_of_other_workers_do_not_count(context: FakeContext) -> None:
    asked_before(context, KNOWN)
    context.cache.work_as("a newer model")
    assert answer(context, take_in(context)) is None


@pytest.mark.parametrize(
    "other",
    [
        JobRequest(params=JobParams(false_accept_rate=0.05)),
        JobRequest(params=JobParams(candidates=1)),
        JobRequest(params=JobParams(cache=False)),
        JobRequest(collection="other"),
        JobRequest(tenant="other"),
        JobRequest(kind=JobKind.DETECT),
    ],
)
def test_another_question_is_another_job(context: FakeContext, other: JobRequest) -> None:
    asked_before(context, KNOWN)
    assert answer(context, take_in(context, other)) is None


def test_another_photo_is_another_job(context: FakeContext) -> None:
    asked_before(context, KNOWN)
    assert answer(context, take_in(context, data=photo(size=(41, 30)))) is None


@pytest.mark.parametrize(
    "request_",
    [
        JobRequest(kind=JobKind.ENROLL, params=JobParams(person_name="Ann")),
        JobRequest(kind=JobKind.VERIFY, params=JobParams(req_id=new_id())),
        JobRequest(params=JobParams(cache=False)),
    ],
)
def test_what_is_never_repeated_is_not_even_noted(
    context: FakeContext, request_: JobRequest
) -> None:
    job_id = take_in(context, request_)
    assert context.cache.question(job_id) is None
    assert len(context.queues.on(REQ)) == 1


@pytest.mark.parametrize("setting", [{"CACHE_URL": ""}, {"FACES_CACHE_ANSWERS": "false"}])
def test_can_be_switched_off(context: FakeContext, setting: dict[str, str]) -> None:
    asked_before(context, KNOWN)
    context.settings = make_settings(**{"CACHE_URL": "redis://nowhere", **setting})
    assert answer(context, take_in(context)) is None


def test_without_the_database_a_worker_answers(context: FakeContext) -> None:
    asked_before(context, KNOWN)
    context.gallery.away = True
    job_id = take_in(context)
    assert len(context.queues.on(REQ)) == 1
    assert context.cache.question(job_id) is None


def test_an_answer_that_cannot_be_read_goes_to_a_worker(context: FakeContext) -> None:
    job_id = take_in(context)
    question = context.cache.question(job_id)
    assert question is not None
    context.cache.keep_answer(Question(question.key, "1:1"), "workers", b"{}")
    assert answer(context, take_in(context)) is None


def test_who_is_deleted_at_the_last_moment_is_not_named(context: FakeContext) -> None:
    work_on(context, take_in(context), KNOWN)
    assert KNOWN.match is not None
    context.gallery.gone = {KNOWN.match.face_id}
    again = take_in(context)
    assert context.results.read(again) is None
    assert len(context.queues.on(context.settings.names.req_queue)) == 2


@pytest.mark.parametrize("deleted", [False, True])
def test_a_comparison_is_repeated_only_while_the_person_is_there(
    context: FakeContext, deleted: bool
) -> None:
    person = new_id()
    request = JobRequest(kind=JobKind.VERIFY, params=JobParams(person_id=person))
    compared = Verification(same_person=True, person_id=person, similarity=0.9, threshold=0.6)
    work_on(context, take_in(context, request), verification=compared)
    if deleted:  # after the version was looked at
        context.gallery.gone = {person}
    repeated = answer(context, take_in(context, request))
    assert (repeated is None) is deleted
