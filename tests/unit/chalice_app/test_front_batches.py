"""Batches: many jobs, one state."""

from typing import Any

import pytest

from chalice_app import dependencies
from faces.contracts.batches import BatchCreated, BatchView
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.jobs import JobRequest, JobState
from faces.contracts.names import batch_key, upload_key
from tests.unit.chalice_app.fakes import STACK, FakeContext, photo
from tests.unit.chalice_app.gateway import call

OUT = f"{STACK}-out-bucket"


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    made = FakeContext()
    monkeypatch.setattr(dependencies, "context", lambda: made)
    return made


def opened(photos: int, **more: Any) -> BatchCreated:
    body = {"photos": [{"file_name": f"{number}.jpg"} for number in range(photos)], **more}
    answer = call("POST", "/v1/batches", body)
    assert answer.status == 201, answer.body
    assert answer.headers["location"] == answer.json["poll_url"]
    return BatchCreated.model_validate(answer.json)


def viewed(batch: BatchCreated) -> BatchView:
    return BatchView.model_validate(call("GET", f"/v1/batches/{batch.batch_id}").json)


def upload(context: FakeContext, job_id: str) -> None:
    context.objects.add(
        f"{STACK}-in-bucket", upload_key(job_id), photo(), JobRequest().to_metadata()
    )


def test_one_call_opens_500_jobs(context: FakeContext) -> None:
    batch = opened(500, collection="office", params={"candidates": 1})
    assert len({job.job_id for job in batch.jobs}) == 500
    for number, job in enumerate(batch.jobs):
        assert job.upload.fields["x-amz-meta-file-name"] == f"{number}.jpg"
        assert job.upload.fields["x-amz-meta-collection"] == "office"
        assert job.poll_url.endswith(f"/v1/jobs/{job.job_id}")
    assert call("GET", f"/v1/jobs/{batch.jobs[7].job_id}").json["state"] == "awaiting_upload"


def test_the_state_counts_the_jobs(context: FakeContext) -> None:
    batch = opened(6)
    ids = [job.job_id for job in batch.jobs]
    for job_id in ids[:4]:
        upload(context, job_id)
    for job_id in ids[:2]:
        context.results.fail(job_id, JobRequest(), FacesError(ErrorCode.NO_FACE))
    view = viewed(batch)
    assert view.total == 6
    assert view.counts == {
        JobState.AWAITING_UPLOAD: 2,
        JobState.QUEUED: 2,
        JobState.SUCCEEDED: 0,
        JobState.FAILED: 2,
        JobState.EXPIRED: 0,
    }
    assert not view.finished
    assert [job.state for job in view.jobs] == [
        *[JobState.FAILED] * 2,
        *[JobState.QUEUED] * 2,
        *[JobState.AWAITING_UPLOAD] * 2,
    ]
    assert view.jobs[3].file_name == "3.jpg"


def test_a_result_is_read_once(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = opened(3)
    for job in batch.jobs:
        context.results.fail(job.job_id, JobRequest(), FacesError(ErrorCode.NO_FACE))
    assert viewed(batch).finished
    context.cache.results.clear()
    monkeypatch.setattr(context.results, "read", lambda _job_id: pytest.fail("read again"))
    assert viewed(batch).counts[JobState.FAILED] == 3


def test_what_nobody_uploads_expires(context: FakeContext) -> None:
    batch = opened(2)
    context.clock.move(context.settings.upload_seconds + 1)
    view = viewed(batch)
    assert view.counts[JobState.EXPIRED] == 2
    assert view.finished


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"photos": []}, "photos"),
        ({"photos": [{}] * 501}, "photos"),
        ({}, "photos"),
        ({"photos": [{"content_type": "image/gif"}]}, "photos.0.content_type"),
        ({"photos": [{}], "callback_url": "ftp://x"}, "callback_url"),
        ({"photos": [{}], "collection": "!"}, "collection"),
        ({"photos": [{}], "tenant": "other"}, "tenant"),
    ],
)
def test_bad_batches(context: FakeContext, body: Any, field: str) -> None:
    answer = call("POST", "/v1/batches", body)
    assert (answer.status, answer.json["field"]) == (400, field)
    assert not context.objects.keys(OUT)


def test_a_job_that_lacks_something_makes_no_batch(context: FakeContext) -> None:
    answer = call("POST", "/v1/batches", {"photos": [{}], "kind": "verify"})
    assert answer.status == 400
    assert "verify" in answer.json["detail"]


def test_unknown_batches(context: FakeContext) -> None:
    batch = opened(1)
    for unknown in ("x", context.new_job(), batch.jobs[0].job_id):
        answer = call("GET", f"/v1/batches/{unknown}")
        assert (answer.status, answer.json["code"]) == (404, "unknown_batch")
    assert call("GET", f"/v1/jobs/{batch.batch_id}").status == 404, "it is no job"
    del context.objects.stored[OUT, batch_key(batch.batch_id)]
    assert call("GET", f"/v1/batches/{batch.batch_id}").json["code"] == "unknown_batch"
