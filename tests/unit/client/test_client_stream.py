"""Many photos, answered as they are ready: the same for both clients."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from faces.client import Answer, ApiError, AsyncClient, Client, JobTimeout, Pace
from faces.client.errors import ConnectionFailed, JobFailed, PhotoNotReadable, UploadRefused
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import JobKind, JobParams
from tests.unit.client.fake_office import KEY, FakeOffice
from tests.unit.client.fake_service import API, problem

JPEG = b"\xff\xd8\xff\xe0 photo"
Stream = Callable[..., list[Answer]]


class Hours:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def office() -> FakeOffice:
    return FakeOffice()


@pytest.fixture(params=["blocking", "asynchronous"])
def stream(request: pytest.FixtureRequest, office: FakeOffice) -> Stream:
    """Stream with one of the clients, to the end."""
    time = Hours()

    def blocking(photos: Iterable[Any], **options: Any) -> list[Answer]:
        with Client(API, KEY, transport=office.transport, sleep=time.sleep, clock=time) as client:
            return list(client.stream(photos, **options))

    def asynchronous(photos: Iterable[Any], **options: Any) -> list[Answer]:
        async def play() -> list[Answer]:
            async with AsyncClient(
                API, KEY, transport=office.transport, sleep=time.sleep_async, clock=time
            ) as client:
                return [answer async for answer in client.stream(photos, **options)]

        return asyncio.run(play())

    return blocking if request.param == "blocking" else asynchronous


def test_every_photo_is_answered_once(stream: Stream, office: FakeOffice) -> None:
    photos = [JPEG + str(number).encode() for number in range(57)]
    answers = stream(photos, pace=Pace(at_once=4, batch_size=10, in_flight=25))

    assert sorted(answer.photo for answer in answers) == sorted(photos)  # type: ignore[type-var]
    assert len({answer.job_id for answer in answers}) == 57
    assert all(len(answer.unwrap().faces) == 2 for answer in answers)
    assert office.uploads() == 57
    opened = [request for request in office.requests if request.url.path == "/v1/batches"]
    assert 6 <= len(opened) <= 8


def test_what_is_asked_goes_with_each_batch(stream: Stream, office: FakeOffice) -> None:
    stream([JPEG], kind=JobKind.DETECT, collection="door", params=JobParams(max_faces=2))
    (job,) = office.jobs.values()
    assert (job.asked["kind"], job.asked["collection"]) == ("detect", "door")
    assert job.asked["params"] == {"max_faces": 2}


def test_one_bad_photo_does_not_end_the_stream(
    stream: Stream, office: FakeOffice, tmp_path: Path
) -> None:
    found: list[type] = []
    for answer in stream([tmp_path / "gone.jpg", b"not a photo", JPEG]):
        found.append(type(answer.error))
        if answer.error is not None:
            with pytest.raises(type(answer.error)):
                answer.unwrap()
    assert sorted(found, key=str) == sorted([PhotoNotReadable, JobFailed, type(None)], key=str)


def test_what_s3_refuses_is_that_photos_error(stream: Stream, office: FakeOffice) -> None:
    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.url.host == "s3.test" and b"large" in request.content:
            return httpx.Response(400, text="<Error><Code>EntityTooLarge</Code></Error>")
        return None

    office.refuse = refuse
    errors = {answer.photo: answer.error for answer in stream([JPEG, JPEG + b"large"])}
    assert errors[JPEG] is None
    assert isinstance(errors[JPEG + b"large"], UploadRefused)


def test_a_photo_that_is_never_answered_has_an_error_in_time(
    stream: Stream, office: FakeOffice
) -> None:
    office.busy = 10_000
    (answer,) = stream([JPEG], pace=Pace(timeout=30))
    assert isinstance(answer.error, JobTimeout)
    assert answer.job_id in office.jobs


def test_a_wrong_key_ends_the_stream(stream: Stream, office: FakeOffice) -> None:
    office.refuse = lambda _: problem(ErrorCode.UNAUTHENTICATED)
    with pytest.raises(ApiError) as caught:
        stream([JPEG] * 3)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


def test_a_service_that_goes_away_ends_the_stream(stream: Stream, office: FakeOffice) -> None:
    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.startswith("/v1/batches/"):
            raise httpx.ConnectError("refused")
        return None

    office.refuse = refuse
    with pytest.raises(ConnectionFailed):
        stream([JPEG] * 3)


def test_each_job_is_told_before_its_photo_is_sent(stream: Stream, office: FakeOffice) -> None:
    told: list[tuple[object, str]] = []

    def opened(photo: object, job_id: str) -> None:
        assert office.jobs[job_id].photo is None
        told.append((photo, job_id))

    answers = stream([JPEG, b"not a photo"], opened=opened)
    assert sorted(told, key=str) == sorted(
        [(answer.photo, answer.job_id) for answer in answers], key=str
    )


def test_no_photo_is_no_request(stream: Stream, office: FakeOffice) -> None:
    assert stream([]) == []
    assert office.requests == []


def test_photos_are_taken_as_there_is_room(office: FakeOffice) -> None:
    taken = 0

    def photos() -> Iterator[bytes]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield JPEG + str(number).encode()

    with Client(API, KEY, transport=office.transport, sleep=lambda _: None) as client:
        answers = client.stream(photos(), pace=Pace(batch_size=10, in_flight=20))
        next(answers)
        assert taken <= 30
        answers.close()  # type: ignore[attr-defined]
    before = len(office.requests)
    assert threading.active_count() < 20
    assert len(office.requests) == before


@pytest.mark.parametrize("wrong", [{"at_once": 0}, {"batch_size": 501}, {"in_flight": 0}])
def test_an_impossible_pace_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="pace"):
        Pace(**wrong)


EXPIRED = (
    "<Error><Code>AccessDenied</Code>"
    "<Message>Invalid according to Policy: Policy expired.</Message></Error>"
)


def test_a_photo_whose_form_expired_before_its_turn_gets_another(
    stream: Stream, office: FakeOffice
) -> None:
    """A slow network sends three photos in the time of a form."""
    late: set[str] = set()

    def slow(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/v1/batches":
            late.clear()
        if request.url.host == "s3.test":
            late.add(str(len(office.requests)))
            if len(late) > 3:
                return httpx.Response(403, text=EXPIRED)
        return None

    office.refuse = slow
    photos = [JPEG + str(number).encode() for number in range(10)]
    answers = stream(photos, pace=Pace(at_once=1))
    assert [answer.error for answer in answers] == [None] * 10
    assert {answer.photo for answer in answers} == set(photos)


def test_a_store_to_which_every_form_is_expired_is_not_asked_for_ever(
    stream: Stream, office: FakeOffice
) -> None:
    office.refuse = lambda asked: (
        httpx.Response(403, text=EXPIRED) if asked.url.host == "s3.test" else None
    )
    answers = stream([JPEG] * 3)
    assert all(isinstance(answer.error, UploadRefused) for answer in answers)
    assert office.uploads() == 3
