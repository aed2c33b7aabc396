"""Results are written once, then announced."""

import pytest
from pydantic import ValidationError

from faces.contracts.errors import ErrorCode, PhotoError, TransientError
from faces.contracts.jobs import JobDone, JobKind, JobRequest, JobState
from faces.contracts.names import result_key
from faces.contracts.results import JobResult
from tests.unit.chalice_app.fakes import NOW, STACK, FakeContext

RESP, OUT = f"{STACK}-resp-queue", f"{STACK}-out-bucket"
REQUEST = JobRequest(kind=JobKind.DETECT, callback_url="https://example.com")


@pytest.fixture
def context() -> FakeContext:
    return FakeContext()


def succeeded(context: FakeContext, job_id: str) -> JobResult:
    """Write the result that a worker would."""
    result = JobResult(
        job_id=job_id,
        kind="detect",
        tenant="default",
        collection="default",
        state="succeeded",
        code_version="0",
        submitted_at=NOW,
        finished_at=NOW,
    )
    context.objects.create(OUT, result_key(job_id), result.model_dump_json().encode())
    return result


def test_a_failure_is_written_and_announced(context: FakeContext) -> None:
    job_id = context.new_job()
    context.clock.move(12.5)
    assert context.results.fail(job_id, REQUEST, PhotoError(ErrorCode.NO_FACE)) is True
    result = context.results.read(job_id)
    assert result is not None
    assert (result.state, result.worker_id) == ("failed", None)
    (sent,) = context.queues.on(RESP)
    assert JobDone.model_validate(sent) == JobDone(
        job_id=job_id,
        kind=JobKind.DETECT,
        state=JobState.FAILED,
        tenant="default",
        error_code=ErrorCode.NO_FACE,
        callback_url="https://example.com",
        submitted_at=NOW,
        finished_at=context.clock(),
    )


def test_a_workers_result_stays_and_is_what_is_announced(context: FakeContext) -> None:
    job_id = context.new_job()
    result = succeeded(context, job_id)
    assert context.results.fail(job_id, REQUEST, PhotoError(ErrorCode.WORKER_GAVE_UP)) is False
    assert context.results.read(job_id) == result
    (sent,) = context.queues.on(RESP)
    assert (sent["state"], sent.get("error_code")) == ("succeeded", None)


def test_a_lost_announcement_is_made_good_by_the_next_try(context: FakeContext) -> None:
    job_id = context.new_job()
    context.queues.failures = 1
    with pytest.raises(TransientError):
        context.results.fail(job_id, REQUEST, PhotoError(ErrorCode.NO_FACE))
    assert context.results.fail(job_id, REQUEST, PhotoError(ErrorCode.WORKER_GAVE_UP)) is False
    (sent,) = context.queues.on(RESP)
    assert sent["error_code"] == "no_face"


def test_no_result_is_none(context: FakeContext) -> None:
    job_id = context.new_job()
    assert context.results.read(job_id) is None
    assert not context.results.exists(job_id)


def test_a_result_of_a_newer_version_is_left_alone(context: FakeContext) -> None:
    job_id = context.new_job()
    newer = b'{"version": 2}'
    context.objects.create(OUT, result_key(job_id), newer)
    assert context.results.exists(job_id)
    assert context.results.fail(job_id, REQUEST, PhotoError(ErrorCode.WORKER_GAVE_UP)) is False
    assert context.objects.read(OUT, result_key(job_id)) == newer
    assert context.queues.sent == []
    with pytest.raises(ValidationError):
        context.results.read(job_id)
