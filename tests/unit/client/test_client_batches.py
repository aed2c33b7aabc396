"""Batches of the blocking client: one call for all forms, one state to wait for."""

import json

import pytest
from pydantic import ValidationError

from faces.client import BatchTimeout, Client
from faces.client.photos import Photo
from faces.contracts.jobs import ContentType, JobKind, JobParams, JobState
from tests.unit.client.fake_service import API, FakeService
from tests.unit.client.test_client_sync import JPEG, Time


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def client(service: FakeService, time: Time) -> Client:
    return Client(API, "k", transport=service.transport, sleep=time.sleep, clock=time.clock)


def test_a_batch_is_opened_in_one_call_and_every_photo_uploaded(
    client: Client, service: FakeService
) -> None:
    png = Photo(b"\x89PNG\r\n\x1a\n rest", ContentType.PNG, "b.png")

    created = client.send_batch(
        [JPEG, png],
        JobKind.DETECT,
        "team",
        JobParams(max_faces=3),
        callback_url="https://example.org/done",
    )

    opened, *uploads = service.requests
    assert json.loads(opened.content) == {
        "kind": "detect",
        "collection": "team",
        "callback_url": "https://example.org/done",
        "params": {"max_faces": 3},
        "photos": [{}, {"file_name": "b.png", "content_type": "image/png"}],
    }
    assert len(created.jobs) == 2
    assert [request.url.host for request in uploads] == ["s3.test", "s3.test"]
    assert sorted(JPEG in request.content for request in uploads) == [False, True]


def test_a_batch_is_asked_for_until_all_its_jobs_have_ended(
    client: Client, service: FakeService, time: Time
) -> None:
    service.batch.insert(1, [JobState.SUCCEEDED, JobState.QUEUED])
    view = client.wait_batch("b")
    assert (view.finished, view.counts[JobState.SUCCEEDED]) == (True, 2)
    assert len(time.sleeps) == 2


def test_a_batch_that_does_not_end_says_how_many_jobs_are_left(
    client: Client, service: FakeService, time: Time
) -> None:
    service.batch = [[JobState.SUCCEEDED, JobState.QUEUED]]
    with pytest.raises(BatchTimeout, match="1 of 2 jobs have not ended") as caught:
        client.wait_batch("b", timeout=5)
    assert caught.value.view.total == 2
    assert time.now == pytest.approx(5)


@pytest.mark.parametrize("photos", [[], [JPEG] * 501], ids=["none", "501"])
def test_a_batch_of_none_or_too_many_is_refused_before_anything_is_sent(
    client: Client, service: FakeService, photos: list[bytes]
) -> None:
    with pytest.raises(ValidationError):
        client.send_batch(photos)
    assert service.requests == []
