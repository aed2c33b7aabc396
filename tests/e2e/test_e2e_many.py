"""Many photos at once: every one of them ends, in the right state."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from faces.client import Client, Photo
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import ContentType, JobState
from local_stack.stack import LocalStack
from tests.e2e.waiting import eventually

PHOTOS = 50
DAMAGED = 5
SECONDS = 150

pytestmark = [pytest.mark.data, pytest.mark.weights]


def test_fifty_photos_at_once_all_end_rightly(
    client: Client, stack: LocalStack, test_data: Path
) -> None:
    people = sorted((test_data / "lfw-dev" / "images").iterdir())[:PHOTOS]
    good = [Photo(next(p.iterdir()).read_bytes(), ContentType.JPEG, p.name) for p in people]
    bad = [Photo(photo.data[:3000], ContentType.JPEG, "cut off") for photo in good[:DAMAGED]]
    sent = [*good, *bad]

    with ThreadPoolExecutor(len(sent)) as pool:
        jobs = [created.job_id for created in pool.map(client.send, sent)]
    views = [client.wait(job_id, timeout=SECONDS) for job_id in jobs]

    assert len(set(jobs)) == PHOTOS + DAMAGED
    for photo, view in zip(sent, views, strict=True):
        if photo in bad:
            assert view.state is JobState.FAILED, photo.name
            assert view.error is not None
            assert view.error.code is ErrorCode.CORRUPT_IMAGE
        else:
            assert view.state is JobState.SUCCEEDED, (photo.name, view.error)
            assert view.result is not None
            assert view.result.photo is not None
            assert (view.result.photo.width, view.result.photo.height) == (250, 250)
            assert view.result.faces, photo.name
            assert view.result.file_name == photo.name

    environment = stack.client_environment()
    sqs = boto3.client(
        "sqs",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    names = stack.settings.names

    def left() -> int:
        total = 0
        for name in (names.uploads_queue, names.req_queue, names.req_dlq, names.uploads_dlq):
            found = sqs.get_queue_attributes(
                QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"],
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
            total += int(found["ApproximateNumberOfMessages"])
            total += int(found["ApproximateNumberOfMessagesNotVisible"])
        return total

    eventually(lambda: left() == 0, "no message waits, and none is a dead letter", 30)
