"""Intake: a good photo becomes one message, a bad one an answer, nothing is lost."""

import pytest

from chalice_app.intake import Intake, job_message
from chalice_app.s3_events import NotANotification
from faces.contracts.errors import ErrorCode, TransientError
from faces.contracts.ids import new_id
from faces.contracts.jobs import (
    ContentType,
    JobDone,
    JobKind,
    JobMessage,
    JobParams,
    JobRequest,
    JobState,
)
from faces.contracts.names import REQ_MESSAGE_MAX_BYTES, result_key, upload_key
from faces.contracts.results import JobResult
from tests.unit.chalice_app.fakes import (
    STACK,
    FakeContext,
    make_settings,
    notification,
    photo,
    received,
)

# Fixed, because it names a test.
UNKNOWN = "01a1fe3f-4440-7283-9f9d-42adac281cfc"
REQ, RESP = f"{STACK}-req-queue", f"{STACK}-resp-queue"
IN, OUT = f"{STACK}-in-bucket", f"{STACK}-out-bucket"


@pytest.fixture
def context() -> FakeContext:
    return FakeContext(settings=make_settings(FACES_MAX_UPLOAD_BYTES="2000"))


def made(context: FakeContext) -> Intake:
    return Intake(
        context.settings, context.objects, context.queues, context.results, context.repeats
    )


def take_in(context: FakeContext, *job_ids: str, receive_count: int = 1) -> None:
    intake = made(context)
    keys = [upload_key(job_id) for job_id in job_ids]
    intake.handle(received(notification(*keys), receive_count=receive_count))


def result_of(context: FakeContext, job_id: str) -> JobResult:
    return JobResult.model_validate(context.objects.json(OUT, result_key(job_id)))


def test_a_good_photo_becomes_one_message(context: FakeContext) -> None:
    data = photo()
    job_id = context.upload(data)
    take_in(context, job_id)
    (sent,) = context.queues.on(REQ)
    assert JobMessage.model_validate(sent) == JobMessage(
        job_id=job_id, key=upload_key(job_id), size=len(data)
    )
    assert context.objects.keys(OUT) == []


def test_every_record_of_a_message_is_taken_in(context: FakeContext) -> None:
    job_ids = [context.upload(photo()) for _ in range(3)]
    take_in(context, *job_ids)
    assert [sent["job_id"] for sent in context.queues.on(REQ)] == job_ids


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", ErrorCode.UPLOAD_EMPTY),
        (b"x" * 2001, ErrorCode.UPLOAD_TOO_LARGE),
        (b"hello", ErrorCode.NOT_AN_IMAGE),
        (photo("GIF"), ErrorCode.UNSUPPORTED_IMAGE),
        (photo("PNG"), ErrorCode.WRONG_CONTENT_TYPE),
        (photo()[:20], ErrorCode.CORRUPT_IMAGE),
    ],
)
def test_a_bad_photo_is_answered(context: FakeContext, body: bytes, code: ErrorCode) -> None:
    request = JobRequest(
        kind=JobKind.DETECT,
        collection="staff",
        file_name="é.jpg",
        callback_url="https://example.com/done",
    )
    job_id = context.upload(body, request)
    context.clock.move(30)
    take_in(context, job_id)
    result = result_of(context, job_id)
    assert (result.state, result.kind, result.collection) == ("failed", "detect", "staff")
    assert result.file_name == "é.jpg"
    assert result.error is not None
    assert result.error.code is code
    assert (result.finished_at - result.submitted_at).total_seconds() == 30
    (sent,) = context.queues.on(RESP)
    done = JobDone.model_validate(sent)
    assert (done.job_id, done.state, done.error_code) == (job_id, JobState.FAILED, code)
    assert done.callback_url == "https://example.com/done"
    assert context.queues.on(REQ) == []


def test_too_many_pixels_are_refused() -> None:
    context = FakeContext(settings=make_settings(FACES_MAX_PIXELS="10000"))
    job_id = context.upload(photo(size=(101, 100)))
    take_in(context, job_id)
    error = result_of(context, job_id).error
    assert error is not None
    assert error.code is ErrorCode.IMAGE_TOO_LARGE
    assert "101 x 100" in error.message


def test_an_upload_without_a_readable_request_is_answered(context: FakeContext) -> None:
    job_id = context.new_job()
    context.objects.add(IN, upload_key(job_id), photo(), {"tenant": "default", "kind": "dance"})
    take_in(context, job_id)
    error = result_of(context, job_id).error
    assert error is not None
    assert error.code is ErrorCode.UPLOAD_REJECTED


def test_a_photo_that_was_deleted_meanwhile_is_answered(context: FakeContext) -> None:
    job_id = context.upload(photo())
    context.objects.stored.clear()
    take_in(context, job_id)
    error = result_of(context, job_id).error
    assert error is not None
    assert error.code is ErrorCode.UPLOAD_REJECTED


def test_ids_that_were_never_given_out_are_dropped(context: FakeContext) -> None:
    forged, gone = new_id(), new_id()
    context.objects.add(IN, upload_key(forged), photo(), JobRequest().to_metadata())
    take_in(context, forged, gone)
    assert context.queues.sent == []
    assert context.objects.keys(OUT) == []


def test_another_tenants_id_is_dropped(context: FakeContext) -> None:
    job_id = context.new_job("somebody")
    context.objects.add(IN, upload_key(job_id), photo(), JobRequest(tenant="else").to_metadata())
    take_in(context, job_id)
    assert context.queues.sent == []
    assert context.objects.keys(OUT) == []


@pytest.mark.parametrize(
    ("key", "bucket"),
    [("something.jpg", IN), (upload_key(UNKNOWN), "another-bucket"), ("uploads/x", IN)],
)
def test_objects_that_are_no_uploads_are_dropped(
    context: FakeContext, key: str, bucket: str
) -> None:
    intake = made(context)
    intake.handle(received(notification(key, bucket=bucket)))
    assert context.queues.sent == []
    assert context.objects.stored == {}


def test_a_job_that_has_a_result_is_left_alone(context: FakeContext) -> None:
    job_id = context.upload(b"no photo")
    take_in(context, job_id)
    before = dict(context.objects.stored)
    take_in(context, job_id)
    assert context.objects.stored == before
    assert len(context.queues.on(RESP)) == 1


def test_a_failure_between_result_and_message_is_made_good(context: FakeContext) -> None:
    job_id = context.upload(b"no photo")
    context.queues.failures = 1
    with pytest.raises(TransientError):
        take_in(context, job_id)
    assert context.queues.on(RESP) == []
    take_in(context, job_id, receive_count=2)
    (sent,) = context.queues.on(RESP)
    assert sent["error_code"] == "not_an_image"


def test_a_store_that_is_away_means_once_more(context: FakeContext) -> None:
    job_id = context.upload(photo())
    context.objects.away = True
    with pytest.raises(TransientError):
        take_in(context, job_id)
    context.objects.away = False
    take_in(context, job_id, receive_count=2)
    assert len(context.queues.on(REQ)) == 1


def test_a_body_that_is_no_notification_is_not_swallowed(context: FakeContext) -> None:
    intake = made(context)
    with pytest.raises(NotANotification):
        intake.handle(received("what?"))


def test_the_largest_request_still_makes_a_small_message(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = JobRequest(
        collection="c" * 63,
        content_type=ContentType.PNG,
        file_name="f" * 200,
        callback_url="https://example.com/" + "u" * 480,
        params=JobParams(req_id="r" * 36, false_accept_rate=0.123456789),
    )
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=" + "t" * 2000)
    job_id = context.upload(photo("PNG"), request)
    take_in(context, job_id)
    ((_, body),) = context.queues.sent
    assert len(body.encode()) <= REQ_MESSAGE_MAX_BYTES


def test_a_trace_id_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-2-3")
    job_id = new_id()
    message = JobMessage.model_validate_json(job_message(job_id, upload_key(job_id), 5))
    assert message.trace_id == "Root=1-2-3"
