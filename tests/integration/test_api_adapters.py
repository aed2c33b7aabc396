"""One contract for stores and queues, held by the fakes of the unit tests and by AWS's."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from chalice_app.aws import Objects, Queues, S3Objects, SqsQueues
from chalice_app.dependencies import S3_CLIENT, SQS_CLIENT
from faces.contracts.errors import TransientError
from tests.unit.chalice_app.fakes import FakeClock, FakeObjects, FakeQueues

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

META = {"kind": "identify", "params": "{}"}
NOWHERE = "http://127.0.0.1:9"
ONCE = Config(connect_timeout=1, retries={"total_max_attempts": 1})


@dataclass
class Store:
    """A bucket, and a hand to put a photo into it."""

    objects: Objects
    bucket: str
    upload: Callable[[str, bytes], None]


@pytest.fixture
def s3(aws_session: boto3.session.Session, aws_endpoint: str) -> "S3Client":
    return aws_session.client("s3", endpoint_url=aws_endpoint, config=S3_CLIENT)


@pytest.fixture
def sqs(aws_session: boto3.session.Session, aws_endpoint: str) -> "SQSClient":
    return aws_session.client("sqs", endpoint_url=aws_endpoint, config=SQS_CLIENT)


@pytest.fixture(params=["fake", "S3"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    bucket = f"adapters-{uuid.uuid4()}"
    if request.param == "fake":
        fake = FakeObjects(FakeClock())
        yield Store(fake, bucket, lambda key, body: fake.add(bucket, key, body, META))
        return
    client: S3Client = request.getfixturevalue("s3")
    client.create_bucket(Bucket=bucket)

    def upload(key: str, body: bytes) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=META)

    yield Store(S3Objects(client), bucket, upload)
    for found in client.list_objects_v2(Bucket=bucket).get("Contents", []):
        client.delete_object(Bucket=bucket, Key=found["Key"])
    client.delete_bucket(Bucket=bucket)


def test_what_is_missing_is_none(store: Store) -> None:
    assert store.objects.head(store.bucket, "none") is None
    assert store.objects.open(store.bucket, "none") is None
    assert store.objects.read(store.bucket, "none") is None


def test_a_photo_is_uploaded_with_its_request(store: Store) -> None:
    store.objects.upload(store.bucket, "uploads/x", b"photo", "image/png", META)
    info = store.objects.head(store.bucket, "uploads/x")
    assert info is not None
    assert (info.size, dict(info.metadata)) == (5, META)


def test_listing_and_deleting(store: Store) -> None:
    for key in ("a/1", "a/2", "b/1"):
        store.upload(key, b"x")
    listed = list(store.objects.listing(store.bucket, "a/"))
    assert [found.key for found in listed] == ["a/1", "a/2"]
    later = store.objects.listing(store.bucket, "a/", after="a/1")
    assert [found.key for found in later] == ["a/2"]
    info = store.objects.head(store.bucket, "a/1")
    assert info is not None
    assert abs((listed[0].last_modified - info.last_modified).total_seconds()) < 1
    for _ in range(2):  # harmless where there is none
        store.objects.delete(store.bucket, "a/1")
    assert [found.key for found in store.objects.listing(store.bucket, "")] == ["a/2", "b/1"]
    assert list(store.objects.listing(store.bucket, "none/")) == []


def test_an_upload_is_read_as_it_was_written(store: Store) -> None:
    store.upload("a/b", b"0123456789")
    info = store.objects.head(store.bucket, "a/b")
    assert info is not None
    assert (info.size, dict(info.metadata)) == (10, META)
    assert info.last_modified.tzinfo is not None
    found = store.objects.open(store.bucket, "a/b")
    assert found is not None
    again, stream = found
    assert again == info
    assert [stream.read(4), stream.read(), stream.read(4)] == [b"0123", b"456789", b""]
    stream.close()


def test_a_result_is_written_once(store: Store) -> None:
    assert store.objects.create(store.bucket, "r", b"first") is True
    assert store.objects.create(store.bucket, "r", b"second") is False
    assert store.objects.read(store.bucket, "r") == b"first"


def test_a_letter_may_be_written_again(store: Store) -> None:
    store.objects.put(store.bucket, "l", b"first")
    store.objects.put(store.bucket, "l", b"second")
    assert store.objects.read(store.bucket, "l") == b"second"


def test_a_store_that_is_away_is_transient(aws_session: boto3.session.Session) -> None:
    config = S3_CLIENT.merge(ONCE)
    away = S3Objects(aws_session.client("s3", endpoint_url=NOWHERE, config=config))
    calls: list[Callable[[], object]] = [
        lambda: away.head("b", "k"),
        lambda: away.open("b", "k"),
        lambda: away.read("b", "k"),
        lambda: away.put("b", "k", b""),
        lambda: away.create("b", "k", b""),
    ]
    for call in calls:
        with pytest.raises(TransientError):
            call()


def test_a_refusal_is_not_hidden_as_missing_or_transient(aws_endpoint: str, s3: "S3Client") -> None:
    """A missing permission must reach an operator, not look like a photo that did not come."""
    bucket = f"adapters-{uuid.uuid4()}"
    s3.create_bucket(Bucket=bucket)
    stranger = boto3.session.Session("AKIASTRANGER", "x", region_name="us-east-1")
    objects = S3Objects(stranger.client("s3", endpoint_url=aws_endpoint, config=S3_CLIENT))
    with pytest.raises(ClientError):
        objects.read(bucket, "k")
    s3.delete_bucket(Bucket=bucket)


def test_messages_arrive_and_are_deleted(sqs: "SQSClient") -> None:
    name = f"adapters-{uuid.uuid4()}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    queues: Queues = SqsQueues(sqs)
    bodies = {f"message {number}" for number in range(12)}
    for body in bodies:
        queues.send(name, body)
    taken: dict[str, str] = {}
    while len(taken) < 12:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        taken |= {m["Body"]: m["ReceiptHandle"] for m in answer["Messages"]}
    assert set(taken) == bodies
    queues.delete(name, list(taken.values()))
    queues.check(name)
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "0"
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "0"
    sqs.delete_queue(QueueUrl=url)


def test_a_queue_that_is_away_is_transient(aws_session: boto3.session.Session) -> None:
    config = SQS_CLIENT.merge(ONCE)
    away: Queues = SqsQueues(aws_session.client("sqs", endpoint_url=NOWHERE, config=config))
    fake: Queues = FakeQueues(away=True)
    for queues in (away, fake):
        with pytest.raises(TransientError):
            queues.send("q", "m")
        with pytest.raises(TransientError):
            queues.check("q")
