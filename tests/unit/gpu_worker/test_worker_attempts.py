"""What is recorded of the work on suspects, and that nothing else depends on it."""

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from faces.contracts.ids import new_id
from faces.contracts.jobs import JobMessage
from faces.contracts.names import attempt_key, upload_key
from gpu_worker.attempts import S3Attempts
from gpu_worker.protocol import Task
from gpu_worker.queue import Received


class FakeS3:
    """The keys of a bucket."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.away = False

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        self._check(Bucket)
        self.keys.add(Key)

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803
        self._check(Bucket)
        self.keys.discard(Key)

    def _check(self, bucket: str) -> None:
        assert bucket == "out"
        if self.away:
            raise EndpointConnectionError(endpoint_url="http://s3")


def task(receive_count: int = 2, rounds: int = 0, job_id: str | None = None) -> Task:
    job_id = job_id or new_id()
    job = JobMessage(job_id=job_id, key=upload_key(job_id), size=1, rounds=rounds)
    return Task(Received("m", "r", job.model_dump_json(), receive_count), job)


def test_each_delivery_is_on_record_until_it_ended() -> None:
    s3: Any = FakeS3()
    attempts = S3Attempts(s3, "out")
    first = task(2)
    second = task(3, job_id=first.job.job_id)
    attempts.begun(first)
    attempts.begun(second)
    assert s3.keys == {attempt_key(first.job.job_id, f"m-{count}") for count in (2, 3)}
    attempts.ended(second)
    assert s3.keys == {attempt_key(first.job.job_id, "m-2")}


def test_without_s3_the_work_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    s3: Any = FakeS3()
    s3.away = True
    attempts = S3Attempts(s3, "out")
    attempts.begun(task())
    attempts.ended(task())
    assert len(caplog.records) == 2


def test_who_was_put_back_is_a_suspect_from_the_first_delivery_on() -> None:
    assert not task(1).message.redelivered
    assert task(2).message.redelivered
    assert task(1, rounds=1).message.redelivered
    assert not Received("m", "r", "no json", 1).redelivered
