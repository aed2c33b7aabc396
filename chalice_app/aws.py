"""The few things that the front end asks of S3 and SQS, behind narrow protocols.

A missing object is `None`, not an exception. What may succeed later (a lost connection,
throttling, an error of AWS) is raised as `TransientError`; anything else, such as a missing
permission, passes through unchanged because nobody but an operator can mend it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from faces.contracts.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_MISSING = {"404", "NoSuchKey", "NotFound"}
_TAKEN = {"412", "PreconditionFailed"}
# Two writers at the same instant (S3 API reference, PutObject, "ConditionalRequestConflict").
_LATER = {"ConditionalRequestConflict", "SlowDown", "Throttling", "ThrottlingException",
          "RequestThrottled", "RequestTimeout", "InternalError", "ServiceUnavailable"}  # fmt: skip
_DELETE_BATCH = 10
_OBJECTS_BATCH = 1000


@dataclass(frozen=True)
class ObjectInfo:
    """What is known of an object without its bytes.

    Attributes
    ----------
    size : bytes.
    last_modified : UTC.
    metadata : user metadata, keys in lower case without `x-amz-meta-`.
    """

    size: int
    last_modified: datetime
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing shows it; `last_modified` in UTC."""

    key: str
    last_modified: datetime


class Stream(Protocol):
    """Bytes that come from the network while they are read."""

    def read(self, amt: int | None = None, /) -> bytes:
        """Return at most `amt` further bytes, or all that are left."""

    def close(self) -> None:
        """Let go of the connection."""


class Objects(Protocol):
    """Reads and writes objects."""

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return what is known of an object, or None where there is none."""

    def open(self, bucket: str, key: str) -> tuple[ObjectInfo, Stream] | None:
        """Return an object and its bytes; the caller closes the stream."""

    def read(self, bucket: str, key: str) -> bytes | None:
        """Return all bytes of an object, or None where there is none."""

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write a JSON object, over what may be there."""

    def create(self, bucket: str, key: str, body: bytes) -> bool:
        """Write a JSON object unless one is there; return whether it was written."""

    def upload(
        self, bucket: str, key: str, body: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """Write an object with user metadata (ASCII)."""

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; harmless where there is none."""

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects, a thousand a call; harmless where there are none."""

    def listing(self, bucket: str, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """Yield the objects whose keys start with `prefix`, by key; a thousand a call.

        With `after` only those whose keys come after it.
        """


class Queues(Protocol):
    """Sends to queues and deletes from them, by name."""

    def send(self, queue: str, body: str, *, delay_seconds: int = 0) -> None:
        """Put one message on the queue; it is delivered after the delay (0 to 900)."""

    def delete(self, queue: str, receipt_handles: Sequence[str]) -> None:
        """Delete received messages."""

    def check(self, queue: str) -> None:
        """Raise TransientError when the queue does not answer."""


@contextmanager
def transient_errors() -> Iterator[None]:
    """Turn what may succeed later into `TransientError`."""
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if _code(error) in _LATER or status >= 500:
            raise TransientError from error
        raise
    # The last two for an answer that was cut off in the middle.
    except (BotoCoreError, ResponseParserError, ValueError) as error:
        raise TransientError from error


def _info(answer: Mapping[str, Any]) -> ObjectInfo:
    """Return what an answer says of an object.

    A connection that ends in the middle of the head leaves an answer that lacks fields,
    metadata among them; S3 sends the length after all of those.
    """
    if "ContentLength" not in answer or "LastModified" not in answer:
        raise TransientError("an answer of S3 was cut off")
    return ObjectInfo(answer["ContentLength"], answer["LastModified"], answer["Metadata"])


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


class _Begun:
    """A stream whose first byte has come, so that the head before it had come whole."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._first = stream.read(1)

    def read(self, amt: int | None = None, /) -> bytes:
        """Return at most `amt` further bytes, or all that are left."""
        if amt == 0:
            return b""
        first, self._first = self._first, b""
        if amt is None:
            return first + self._stream.read()
        return first + self._stream.read(amt - len(first)) if amt > len(first) else first

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()


class S3Objects:
    """`Objects` of S3.

    A missing object is told from a forbidden one only with the permission
    `s3:ListBucket` (S3 API reference, "GetObject", permissions).
    """

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return what is known of an object, or None where there is none."""
        with transient_errors():
            try:
                found = self._client.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
        return _info(found)

    def open(self, bucket: str, key: str) -> tuple[ObjectInfo, Stream] | None:
        """Return an object and its bytes; the caller closes the stream."""
        with transient_errors():
            try:
                found = self._client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return _info(found), _Begun(found["Body"])

    def read(self, bucket: str, key: str) -> bytes | None:
        """Return all bytes of an object, or None where there is none."""
        found = self.open(bucket, key)
        if found is None:
            return None
        _, stream = found
        with transient_errors():
            return stream.read()

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write a JSON object, over what may be there."""
        with transient_errors():
            self._client.put_object(
                Bucket=bucket, Key=key, Body=body, ContentType="application/json"
            )

    def create(self, bucket: str, key: str, body: bytes) -> bool:
        """Write a JSON object unless one is there; return whether it was written."""
        with transient_errors():
            try:
                self._client.put_object(
                    Bucket=bucket,
                    Key=key,
                    Body=body,
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if _code(error) in _TAKEN:
                    return False
                raise
        return True

    def upload(
        self, bucket: str, key: str, body: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """Write an object with user metadata (ASCII)."""
        with transient_errors():
            self._client.put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                Metadata=dict(metadata),
            )

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; harmless where there is none."""
        with transient_errors():
            self._client.delete_object(Bucket=bucket, Key=key)

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects, a thousand a call; harmless where there are none."""
        for start in range(0, len(keys), _OBJECTS_BATCH):
            part = keys[start : start + _OBJECTS_BATCH]
            with transient_errors():
                answer = self._client.delete_objects(
                    Bucket=bucket, Delete={"Objects": [{"Key": key} for key in part], "Quiet": True}
                )
            if answer.get("Errors"):
                raise TransientError(f"{len(answer['Errors'])} objects were not deleted")

    def listing(self, bucket: str, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """Yield the objects whose keys start with `prefix`, by key; a thousand a call.

        With `after` only those whose keys come after it.
        """
        with transient_errors():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix, StartAfter=after):
                for found in page.get("Contents", []):
                    yield ListedObject(found["Key"], found["LastModified"])


class SqsQueues:
    """`Queues` of SQS; looks each address up once."""

    def __init__(self, client: "SQSClient") -> None:
        self._client = client
        self._urls: dict[str, str] = {}

    def send(self, queue: str, body: str, *, delay_seconds: int = 0) -> None:
        """Put one message on the queue; it is delivered after the delay (0 to 900)."""
        with transient_errors():
            self._client.send_message(
                QueueUrl=self._url(queue), MessageBody=body, DelaySeconds=delay_seconds
            )

    def delete(self, queue: str, receipt_handles: Sequence[str]) -> None:
        """Delete received messages, ten a call."""
        for start in range(0, len(receipt_handles), _DELETE_BATCH):
            part = receipt_handles[start : start + _DELETE_BATCH]
            with transient_errors():
                answer = self._client.delete_message_batch(
                    QueueUrl=self._url(queue),
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": handle}
                        for number, handle in enumerate(part)
                    ],
                )
            if answer.get("Failed"):
                raise TransientError(f"{len(answer['Failed'])} messages were not deleted")

    def check(self, queue: str) -> None:
        """Raise TransientError when the queue does not answer."""
        with transient_errors():
            self._client.get_queue_attributes(
                QueueUrl=self._url(queue), AttributeNames=["ApproximateNumberOfMessages"]
            )

    def _url(self, queue: str) -> str:
        if queue not in self._urls:
            self._urls[queue] = self._client.get_queue_url(QueueName=queue)["QueueUrl"]
        return self._urls[queue]
