"""S3, SQS and requests in memory for the front end's tests."""

import hashlib
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from PIL import Image

from chalice_app.aws import ListedObject, ObjectInfo, Stream
from chalice_app.batch import Received
from chalice_app.dependencies import S3_CLIENT
from chalice_app.repeats import Repeats
from chalice_app.results import Results
from faces.contracts.errors import TransientError
from faces.contracts.ids import new_job_id
from faces.contracts.jobs import DEFAULT_TENANT, JobRequest
from faces.contracts.keys import Scope
from faces.contracts.names import upload_key
from faces.contracts.settings import ApiSettings
from tests.fixtures.cache import MemoryCache

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "0123456789abcdef0123456789abcdef"
KEY = "the key of the tests"
STACK = "faces-test"


def make_settings(**overrides: str) -> ApiSettings:
    """Return settings as the environment would give them."""
    return ApiSettings.load(
        {
            "FACES_STACK": STACK,
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
            "FACES_API_KEY_SHA256": hashlib.sha256(KEY.encode()).hexdigest(),
            "FACES_ID_SECRET": SECRET,
            **overrides,
        }
    )


def make_s3() -> Any:
    """Return a real client for what needs no network, such as signing."""
    return boto3.client(
        "s3",
        region_name="eu-central-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="not-a-secret",
        config=S3_CLIENT,
    )


@dataclass
class FakeClock:
    """A clock that stands still until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class FakeObjects:
    """`Objects` in memory; `away` makes every call fail."""

    def __init__(self, clock: FakeClock) -> None:
        self.stored: dict[tuple[str, str], tuple[bytes, ObjectInfo]] = {}
        self.away = False
        self._clock = clock

    def add(self, bucket: str, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        self.stored[bucket, key] = (body, ObjectInfo(len(body), self._clock(), dict(metadata)))

    def json(self, bucket: str, key: str) -> Any:
        return json.loads(self.stored[bucket, key][0])

    def keys(self, bucket: str) -> list[str]:
        # A list at once: other threads may be adding.
        return sorted(key for where, key in list(self.stored) if where == bucket)

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        self._check()
        found = self.stored.get((bucket, key))
        return None if found is None else found[1]

    def open(self, bucket: str, key: str) -> tuple[ObjectInfo, Stream] | None:
        self._check()
        found = self.stored.get((bucket, key))
        return None if found is None else (found[1], io.BytesIO(found[0]))

    def read(self, bucket: str, key: str) -> bytes | None:
        self._check()
        found = self.stored.get((bucket, key))
        return None if found is None else found[0]

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self._check()
        self.add(bucket, key, body, {})

    def create(self, bucket: str, key: str, body: bytes) -> bool:
        self._check()
        if (bucket, key) in self.stored:
            return False
        self.add(bucket, key, body, {})
        return True

    def upload(
        self, bucket: str, key: str, body: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        self._check()
        self.add(bucket, key, body, metadata)

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        self._check()
        for key in keys:
            self.stored.pop((bucket, key), None)

    def delete(self, bucket: str, key: str) -> None:
        self._check()
        self.stored.pop((bucket, key), None)

    def listing(self, bucket: str, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        self._check()
        for key in self.keys(bucket):
            if key.startswith(prefix) and key > after:
                yield ListedObject(key, self.stored[bucket, key][1].last_modified)

    def _check(self) -> None:
        if self.away:
            raise TransientError


@dataclass
class FakeQueues:
    """`Queues` in memory; `failures` sends fail before one works."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    deleted: list[tuple[str, str]] = field(default_factory=list)
    failures: int = 0
    away: bool = False

    def on(self, queue: str) -> list[Any]:
        return [json.loads(body) for name, body in self.sent if name == queue]

    def send(self, queue: str, body: str, *, delay_seconds: int = 0) -> None:
        if self.failures or self.away:
            self.failures = max(0, self.failures - 1)
            raise TransientError
        self.sent.append((queue, body))
        self.delays.append(delay_seconds)

    def delete(self, queue: str, receipt_handles: Sequence[str]) -> None:
        self.deleted += [(queue, handle) for handle in receipt_handles]

    def check(self, queue: str) -> None:
        if self.away:
            raise TransientError


@dataclass
class FakeKeys:
    """`auth.Keys` in memory: tenant, id and scopes by key; `error` is raised first."""

    known: dict[str, tuple[str, str, frozenset[Scope]]] = field(default_factory=dict)
    error: Exception | None = None

    def admit(self, key: str) -> tuple[str, str, frozenset[Scope]] | None:
        if self.error is not None:
            raise self.error
        return self.known.get(key)


@dataclass
class FakeContext:
    """What `dependencies.Context` offers, in memory."""

    settings: ApiSettings = field(default_factory=make_settings)
    clock: FakeClock = field(default_factory=FakeClock)
    queues: FakeQueues = field(default_factory=FakeQueues)
    s3: Any = field(default_factory=make_s3)
    gallery: Any = None
    keys: Any = field(default_factory=lambda: FakeKeys())
    audit: Any = None
    transfer: Any = None
    operations: Any = None
    database_away: bool = False
    cache: MemoryCache = field(default_factory=MemoryCache)

    def __post_init__(self) -> None:
        self.objects = FakeObjects(self.clock)
        self.results = Results(
            self.objects, self.queues, self.settings.names, self.clock, self.cache
        )

    @property
    def repeats(self) -> Repeats:
        return Repeats(
            wanted=self.settings.cache_answers and bool(self.settings.cache_url),
            cache=self.cache,
            gallery=lambda: self.gallery,
            results=self.results,
            clock=self.clock,
        )

    def check_database(self) -> None:
        if self.database_away:
            raise TransientError

    def new_job(self, tenant: str = DEFAULT_TENANT) -> str:
        return new_job_id(SECRET.encode(), tenant, self.clock())

    def upload(self, body: bytes, request: JobRequest | None = None) -> str:
        """Put a photo where its form would, and return the job's id."""
        request = request or JobRequest()
        job_id = self.new_job(request.tenant)
        self.objects.add(
            self.settings.names.in_bucket, upload_key(job_id), body, request.to_metadata()
        )
        return job_id


_numbers = itertools.count(1)


def sqs_record(body: str, *, receive_count: int = 1, number: int | None = None) -> dict[str, Any]:
    """Return one record of the event that Lambda makes of a queue's messages."""
    number = next(_numbers) if number is None else number
    return {
        "messageId": f"message-{number}",
        "receiptHandle": f"handle-{number}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(receive_count),
            "SentTimestamp": "1767323045000",
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }


def received(body: str, *, receive_count: int = 1) -> Received:
    return Received.from_record(sqs_record(body, receive_count=receive_count))


def notification(
    *keys: str, bucket: str = f"{STACK}-in-bucket", event: str = "ObjectCreated:Post"
) -> str:
    """Return an S3 event notification; the keys as S3 writes them (URL-encoded)."""
    records = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": event,
            "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 3}},
        }
        for key in keys
    ]
    return json.dumps({"Records": records})


def photo(
    kind: str = "JPEG", size: tuple[int, int] = (40, 30), *, mode: str = "RGB", **options: Any
) -> bytes:
    """Return a small picture without anybody in it."""
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **options)
    return buffer.getvalue()
