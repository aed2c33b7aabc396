"""Dead letters are kept first, whatever they hold, and then answered."""

import pytest

from chalice_app.dead_letters import (
    REASON_INTAKE,
    REASON_WORKER,
    DeadLetters,
    job_of_request,
    jobs_of_notification,
)
from chalice_app.intake import job_message
from faces.contracts.errors import TransientError
from faces.contracts.ids import new_id
from faces.contracts.jobs import JobKind, JobRequest
from faces.contracts.names import dead_letter_key, result_key, upload_key
from faces.contracts.results import JobResult
from tests.unit.chalice_app.fakes import STACK, FakeContext, notification, photo, received

OUT, RESP = f"{STACK}-out-bucket", f"{STACK}-resp-queue"


@pytest.fixture
def context() -> FakeContext:
    return FakeContext()


def requests(context: FakeContext) -> DeadLetters:
    return DeadLetters(
        context.settings.names.req_dlq,
        REASON_WORKER,
        job_of_request,
        objects=context.objects,
        results=context.results,
        names=context.settings.names,
        clock=context.clock,
    )


def uploads(context: FakeContext) -> DeadLetters:
    return DeadLetters(
        context.settings.names.uploads_dlq,
        REASON_INTAKE,
        jobs_of_notification,
        objects=context.objects,
        results=context.results,
        names=context.settings.names,
        clock=context.clock,
    )


def test_a_job_that_no_worker_finished(context: FakeContext) -> None:
    job_id = context.upload(photo(), JobRequest(kind=JobKind.DETECT, file_name="a.jpg"))
    body = job_message(job_id, upload_key(job_id), 5)
    context.clock.move(200)
    message = received(body, receive_count=4)
    requests(context).handle(message)
    letter = context.objects.json(OUT, dead_letter_key(job_id))
    assert letter == {
        "version": 1,
        "job_id": job_id,
        "queue": f"{STACK}-req-dlq",
        "message_id": message.message_id,
        "body": body,
        "receive_count": 4,
        "attributes": message.attributes,
        "reason": REASON_WORKER,
        "kept_at": "2026-01-02T03:07:25Z",
        "redriven_at": None,
    }
    result = JobResult.model_validate(context.objects.json(OUT, result_key(job_id)))
    assert (result.state, result.kind, result.file_name) == ("failed", "detect", "a.jpg")
    assert result.error is not None
    assert result.error.code == "worker_gave_up"
    (done,) = context.queues.on(RESP)
    assert (done["job_id"], done["error_code"]) == (job_id, "worker_gave_up")


def test_an_answer_that_is_there_is_not_replaced(context: FakeContext) -> None:
    job_id = context.upload(b"")
    dead = received(job_message(job_id, upload_key(job_id), 5))
    requests(context).handle(dead)
    before = context.objects.json(OUT, result_key(job_id))
    context.clock.move(5)
    requests(context).handle(dead)
    assert context.objects.json(OUT, result_key(job_id)) == before


def test_the_photo_may_be_gone(context: FakeContext) -> None:
    job_id = context.new_job()
    requests(context).handle(received(job_message(job_id, upload_key(job_id), 5)))
    assert context.objects.json(OUT, result_key(job_id))["state"] == "failed"


@pytest.mark.parametrize(
    "body", ["", "???", "{}", '{"job_id": "../x", "key": "k", "size": 1}', "[]"]
)
def test_a_body_that_cannot_be_read_is_kept(context: FakeContext, body: str) -> None:
    message = received(body)
    requests(context).handle(message)
    (key,) = context.objects.keys(OUT)
    assert key == f"dead-letters/message-{message.message_id}.json"
    assert context.objects.json(OUT, key)["body"] == body
    assert context.queues.sent == []


def test_the_letter_is_kept_before_the_job_ends(context: FakeContext) -> None:
    job_id = context.upload(photo())
    context.queues.away = True
    with pytest.raises(TransientError):
        requests(context).handle(received(job_message(job_id, upload_key(job_id), 5)))
    assert dead_letter_key(job_id) in context.objects.keys(OUT)


def test_every_upload_of_a_notification_ends(context: FakeContext) -> None:
    job_ids = [context.upload(photo()) for _ in range(2)]
    keys = [upload_key(job_id) for job_id in job_ids]
    uploads(context).handle(received(notification(*keys, "something-else")))
    for job_id in job_ids:
        assert context.objects.json(OUT, result_key(job_id))["error"]["code"] == "worker_gave_up"
        assert context.objects.json(OUT, dead_letter_key(job_id))["reason"] == REASON_INTAKE


@pytest.mark.parametrize("body", ["", "{}", notification(), notification("x"), "[" * 100_000])
def test_notifications_without_an_upload_are_kept(context: FakeContext, body: str) -> None:
    message = received(body)
    uploads(context).handle(message)
    (key,) = context.objects.keys(OUT)
    assert context.objects.json(OUT, key)["body"] == body


def test_jobs_are_read_from_bodies() -> None:
    job_id = new_id()
    assert job_of_request(job_message(job_id, upload_key(job_id), 1)) == [job_id]
    assert jobs_of_notification(notification(upload_key(job_id))) == [job_id]
