"""The worker's adapters against the emulated SQS and S3."""

from datetime import UTC, datetime

import pytest

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.ids import new_id
from faces.contracts.jobs import JobDone, JobKind, JobRequest, JobState
from faces.contracts.results import JobResult
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.publish import S3Results, SqsAnnouncer
from gpu_worker.queue import SqsQueue
from gpu_worker.uploads import S3Uploads
from tests.fixtures.worker_stack import WorkerStack

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def queue_of(stack: WorkerStack, visibility_seconds: int = 30) -> SqsQueue:
    return SqsQueue(stack.sqs, stack.urls[stack.names.req_queue], visibility_seconds)


def result_of(job_id: str, worker_id: str = "first") -> JobResult:
    return JobResult(
        job_id=job_id,
        kind="identify",
        tenant="default",
        collection="default",
        state="succeeded",
        worker_id=worker_id,
        code_version="1",
        submitted_at=NOW,
        finished_at=NOW,
    )


def test_a_received_message_is_hidden_until_it_is_released(worker_stack: WorkerStack) -> None:
    queue = queue_of(worker_stack)
    worker_stack.queue_job(new_id(), 1)
    [message] = queue.receive(10, 1)
    assert not message.redelivered
    assert queue.receive(10, 0) == []
    queue.release([message], 0)
    [again] = queue.receive(10, 1)
    assert again.redelivered
    assert again.receive_count == 2
    assert again.job() == message.job()


def test_a_deleted_message_is_gone(worker_stack: WorkerStack) -> None:
    queue = queue_of(worker_stack)
    worker_stack.queue_job(new_id(), 1)
    [message] = queue.receive(10, 1)
    queue.delete([message])
    assert worker_stack.waiting(worker_stack.names.req_queue) == (0, 0)


def test_extending_hides_longer_and_names_what_was_lost(worker_stack: WorkerStack) -> None:
    short, long = queue_of(worker_stack, 4), queue_of(worker_stack, 60)
    for _ in range(12):  # more than one SQS call takes
        worker_stack.queue_job(new_id(), 1)
    held = short.receive(10, 1) + short.receive(10, 1)
    assert len(held) == 12
    assert long.extend(held) == []
    # Had the first timeout of four seconds stood, a receive of five would find them.
    assert short.receive(10, 5) == []
    long.delete([held[0]])
    assert [each.message_id for each in long.extend(held[:2])] in ([held[0].message_id], [])


def test_the_heartbeat_keeps_a_message_from_others(worker_stack: WorkerStack) -> None:
    queue = queue_of(worker_stack, 4)
    worker_stack.queue_job(new_id(), 1)
    [message] = queue.receive(1, 1)
    heartbeat = Heartbeat(queue, 4, 900, on_stuck=lambda: None)
    with heartbeat.running():
        heartbeat.hold([message])
        # Twice its visibility timeout, nobody else gets it ...
        assert queue.receive(1, 8) == []
        heartbeat.drop([message])
        # ... and once it is dropped, somebody does.
        [again] = queue.receive(1, 10)
    assert again.message_id == message.message_id


def test_an_upload_comes_with_its_request(worker_stack: WorkerStack) -> None:
    request = JobRequest(kind=JobKind.DETECT, file_name="Käse.jpg")
    job_id = worker_stack.submit(b"photo", request)
    uploads = S3Uploads(worker_stack.s3, worker_stack.names.in_bucket, 5)
    upload = uploads.open(f"uploads/{job_id}")
    assert JobRequest.from_metadata(upload.metadata) == request
    assert upload.read() == b"photo"


def test_a_larger_upload_is_refused_whatever_the_message_said(worker_stack: WorkerStack) -> None:
    job_id = worker_stack.submit(b"photos", JobRequest())
    upload = S3Uploads(worker_stack.s3, worker_stack.names.in_bucket, 5).open(f"uploads/{job_id}")
    with pytest.raises(PhotoError) as caught:
        upload.read()
    assert caught.value.code is ErrorCode.UPLOAD_TOO_LARGE


def test_an_upload_that_is_gone_is_no_outage(worker_stack: WorkerStack) -> None:
    uploads = S3Uploads(worker_stack.s3, worker_stack.names.in_bucket, 5)
    with pytest.raises(PhotoError) as caught:
        uploads.open(f"uploads/{new_id()}")
    assert caught.value.code is ErrorCode.UPLOAD_REJECTED


def test_only_the_first_result_counts(worker_stack: WorkerStack) -> None:
    results = S3Results(worker_stack.s3, worker_stack.names.out_bucket)
    job_id = new_id()
    assert results.stored(job_id) is None
    first = results.store(result_of(job_id, "first"))
    assert first.worker_id == "first"
    assert results.store(result_of(job_id, "second")) == first
    assert results.stored(job_id) == first
    assert worker_stack.results() == 1


def test_a_result_of_a_newer_version_stays(worker_stack: WorkerStack) -> None:
    s3, bucket, job_id = worker_stack.s3, worker_stack.names.out_bucket, new_id()
    key, newer = f"results/{job_id}.json", b'{"version": 2}'
    s3.put_object(Bucket=bucket, Key=key, Body=newer)
    results = S3Results(s3, bucket)
    assert results.stored(job_id) is None
    assert results.store(result_of(job_id)).job_id == job_id
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == newer


def test_a_result_is_stored_as_json(worker_stack: WorkerStack) -> None:
    job_id = new_id()
    S3Results(worker_stack.s3, worker_stack.names.out_bucket).store(result_of(job_id))
    stored = worker_stack.s3.get_object(
        Bucket=worker_stack.names.out_bucket, Key=f"results/{job_id}.json"
    )
    assert stored["ContentType"] == "application/json"
    assert JobResult.model_validate_json(stored["Body"].read()).job_id == job_id


def test_an_announcement_reaches_the_queue(worker_stack: WorkerStack) -> None:
    done = JobDone(
        job_id=new_id(),
        kind=JobKind.DETECT,
        state=JobState.SUCCEEDED,
        tenant="default",
        submitted_at=NOW,
        finished_at=NOW,
    )
    url = worker_stack.urls[worker_stack.names.resp_queue]
    SqsAnnouncer(worker_stack.sqs, url).announce([done])
    assert worker_stack.announced() == [done]
