"""How workers end: on a photo that kills them, on EC2's notices, and what they leave."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import ContentType, JobKind, JobRequest
from faces.contracts.names import TAG_DRAIN, dead_letter_key
from gpu_worker.imds import DRAIN_TAG_REASON, REBALANCE, SPOT_ACTION
from tests.fixtures.fake_workers import StartFakeWorker
from tests.fixtures.metadata_service import FakeMetadata
from tests.fixtures.photos import encoded
from tests.fixtures.worker_stack import MAX_RECEIVES, WorkerStack

SECONDS = 60.0


def photo(colour: tuple[int, int, int]) -> bytes:
    return encoded(np.full((64, 64, 3), colour, dtype=np.uint8), "PNG")


GOOD, POISON, SLOW = photo((9, 99, 9)), photo((255, 0, 0)), photo((0, 0, 255))


def detect(stack: WorkerStack, data: bytes) -> str:
    return stack.submit(data, JobRequest(kind=JobKind.DETECT, content_type=ContentType.PNG))


def test_a_photo_that_kills_the_process_costs_nobody_else(
    worker_stack: WorkerStack, start_fake_worker: StartFakeWorker
) -> None:
    """The dead worker's successors finish the others; the poison ends as a dead letter."""
    good = [detect(worker_stack, GOOD) for _ in range(4)]
    poison = detect(worker_stack, POISON)
    good += [detect(worker_stack, GOOD) for _ in range(4)]
    deaths = 0
    while True:
        # The scaler replaces workers that died; idle ones end in order.
        code = start_fake_worker(WORKER_IDLE_SECONDS="7").wait(SECONDS)
        deaths += code == 139
        if code == 0:
            break
    assert deaths == MAX_RECEIVES
    assert sorted(worker_stack.finished()) == sorted(good)
    assert all(worker_stack.result(job).state == "succeeded" for job in good)
    assert worker_stack.waiting(worker_stack.names.req_queue) == (0, 0)
    # The first delivery, with others, is not on record; those after it, alone, are.
    assert worker_stack.attempts(poison) == MAX_RECEIVES - 1
    assert worker_stack.work_off_dead_letters() == 1
    given_up = worker_stack.result(poison)
    assert given_up.error is not None
    assert given_up.error.code is ErrorCode.WORKER_GAVE_UP
    assert worker_stack.waiting(worker_stack.names.req_queue) == (0, 0)
    kept = worker_stack.s3.get_object(
        Bucket=worker_stack.names.out_bucket, Key=dead_letter_key(poison)
    )
    assert poison in json.loads(kept["Body"].read())["body"]
    assert worker_stack.attempts(poison) == 0, "a redrive begins anew"


def test_a_photo_that_only_waited_in_dying_hands_is_not_given_up(
    worker_stack: WorkerStack, start_fake_worker: StartFakeWorker
) -> None:
    """Its last receive that SQS allows is used up, and nobody ever began it."""
    job = detect(worker_stack, GOOD)
    url = worker_stack.urls[worker_stack.names.req_queue]
    for _ in range(MAX_RECEIVES):
        assert worker_stack.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    assert "Messages" not in worker_stack.sqs.receive_message(QueueUrl=url)
    assert worker_stack.work_off_dead_letters() == 1
    assert worker_stack.finished() == []
    assert start_fake_worker(WORKER_IDLE_SECONDS="2").wait(SECONDS) == 0
    assert worker_stack.result(job).state == "succeeded"
    assert worker_stack.attempts(job) == 0
    assert worker_stack.waiting(worker_stack.names.req_queue) == (0, 0)
    assert worker_stack.waiting(worker_stack.names.req_dlq) == (0, 0)


@pytest.mark.parametrize(
    ("path", "notice", "reason"),
    [
        (SPOT_ACTION, '{"action": "terminate"}', "spot interruption"),
        (REBALANCE, '{"noticeTime": "2026-11-21T12:00:00Z"}', "rebalance recommendation"),
        (f"tags/instance/{TAG_DRAIN}", "", DRAIN_TAG_REASON),
    ],
    ids=["spot", "rebalance", "drain"],
)
def test_a_notice_ends_the_worker_in_time(
    worker_stack: WorkerStack,
    start_fake_worker: StartFakeWorker,
    metadata_service: FakeMetadata,
    tmp_path: Path,
    path: str,
    notice: str,
    reason: str,
) -> None:
    jobs = [detect(worker_stack, SLOW) for _ in range(40)]
    process = start_fake_worker(WORKER_METADATA_URL=metadata_service.url, WORKER_IN_HAND="16")
    deadline = time.monotonic() + SECONDS
    while not worker_stack.results():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # It stays, confirmed, until it is ended or the claim is over.
    metadata_service.paths[path] = notice or f"{time.time() + 15:.0f}"
    noticed = time.monotonic()
    assert process.wait(SECONDS) == 0
    assert time.monotonic() - noticed < 25, "20 s after a notice that is read every 5 s"
    assert f"asked to end: {reason}" in (tmp_path / "0.log").read_text()
    done = worker_stack.results()
    assert 1 <= done < len(jobs)
    # All of the rest can be taken by others at once.
    assert worker_stack.waiting(worker_stack.names.req_queue) == (len(jobs) - done, 0)


def test_a_drained_worker_goes_on_when_its_claim_is_taken_back(
    worker_stack: WorkerStack,
    start_fake_worker: StartFakeWorker,
    metadata_service: FakeMetadata,
    tmp_path: Path,
) -> None:
    jobs = [detect(worker_stack, SLOW) for _ in range(12)]
    claim = f"tags/instance/{TAG_DRAIN}"
    metadata_service.paths[claim] = f"{time.time() + 300:.0f}"
    process = start_fake_worker(WORKER_METADATA_URL=metadata_service.url, WORKER_IN_HAND="4")
    log = tmp_path / "0.log"
    deadline = time.monotonic() + SECONDS
    while f"asked to end: {DRAIN_TAG_REASON}" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    del metadata_service.paths[claim]
    while worker_stack.results() < len(jobs):
        assert process.poll() is None, "it left though nobody wanted it to"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "the worker goes on" in log.read_text()
