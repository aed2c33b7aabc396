"""Requests that wait for a job's end, and jobs that are deleted."""

from datetime import UTC, datetime

import pytest

from chalice_app import dependencies
from chalice_app.waiting import wait_for_end
from faces.cache.cache import NoCache, Question
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.jobs import JobRequest, JobState, JobView
from faces.contracts.names import attempt_key, result_key, upload_key
from tests.fixtures.cache import MemoryCache
from tests.unit.chalice_app.fakes import FakeContext, photo
from tests.unit.chalice_app.gateway import call

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Job:
    """A job that ends at `ends`, in a time that only waiting moves on."""

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.now = 0.0
        self.looks: list[float] = []

    def clock(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def look(self) -> JobView:
        self.looks.append(self.now)
        ended = self.now >= self.ends
        state = JobState.SUCCEEDED if ended else JobState.QUEUED
        return JobView(job_id="job", state=state, submitted_at=NOW)


def woken_cache(job: Job, *, lost: bool = False) -> MemoryCache:
    """A cache that wakes at the end of the job, or loses the wake-up."""
    cache = MemoryCache()

    def pass_by(seconds: float) -> None:
        wakes = job.now < job.ends <= job.now + seconds and not lost
        job.now = job.ends if wakes else job.now + seconds

    cache.while_waiting = pass_by
    return cache


def test_a_job_that_has_ended_is_answered_at_once() -> None:
    job = Job(ends=0)
    cache = woken_cache(job)
    assert wait_for_end(job.look, "job", cache, 20, job.clock).state.final
    assert not cache.waits
    assert len(job.looks) == 1


def test_without_waiting_nobody_listens() -> None:
    job = Job(ends=3)
    assert not wait_for_end(job.look, "job", woken_cache(job), 0, job.clock).state.final
    assert job.looks == [0]


def test_is_woken_at_the_end() -> None:
    job = Job(ends=3)
    assert wait_for_end(job.look, "job", woken_cache(job), 20, job.clock).state.final
    assert job.looks == [0, 0, 3]


def test_a_lost_wake_up_costs_seconds_not_the_answer() -> None:
    job = Job(ends=3)
    view = wait_for_end(job.look, "job", woken_cache(job, lost=True), 20, job.clock)
    assert view.state.final
    assert job.now == 5


def test_an_end_just_before_listening_is_seen() -> None:
    job = Job(ends=3)
    cache = woken_cache(job)

    def look() -> JobView:
        view = job.look()
        job.now = 3  # it ends right after the first look
        return view

    assert wait_for_end(look, "job", cache, 20, job.clock).state.final
    assert not cache.waits


def test_time_is_up() -> None:
    job = Job(ends=100)
    view = wait_for_end(job.look, "job", woken_cache(job), 20, job.clock)
    assert view.state is JobState.QUEUED
    assert job.now == 20


def test_without_a_cache_it_looks_often_then_seldom() -> None:
    job = Job(ends=9)
    view = wait_for_end(job.look, "job", NoCache(job.pass_by), 20, job.clock)
    assert view.state.final
    assert 9 <= job.now <= 10
    pauses = [after - before for before, after in zip(job.looks, job.looks[1:], strict=False)]
    assert max(pauses) < 1.01
    assert len(job.looks) < 20


class Gallery:
    """The gallery's part in deleting a job."""

    def __init__(self) -> None:
        self.forgotten: list[tuple[str, str, str]] = []

    def forget_job(self, tenant: str, job_id: str, *, actor: str) -> int:
        self.forgotten.append((tenant, job_id, actor))
        return 2


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    made = FakeContext(gallery=Gallery())
    monkeypatch.setattr(dependencies, "context", lambda: made)
    return made


def test_the_api_waits_until_a_job_ends(context: FakeContext) -> None:
    job_id = context.upload(photo())

    def end(_seconds: float) -> None:
        context.results.fail(job_id, JobRequest(), FacesError(ErrorCode.NO_FACE))

    context.cache.while_waiting = end
    answer = call("GET", f"/v1/jobs/{job_id}?wait=20")
    assert answer.json["state"] == "failed"
    assert answer.json["error"]["code"] == "no_face"
    assert len(context.cache.waits) == 1


@pytest.mark.parametrize("wait", ["21", "-1", "soon"])
def test_a_wrong_time_to_wait_is_refused(context: FakeContext, wait: str) -> None:
    answer = call("GET", f"/v1/jobs/{context.new_job()}?wait={wait}")
    assert answer.status == 400
    assert answer.json["field"] == "wait"


def test_the_plain_form_answers_at_once(context: FakeContext) -> None:
    assert call("GET", f"/v1/jobs/{context.upload(photo())}").json["state"] == "queued"
    assert not context.cache.waits


def test_a_deleted_job_leaves_nothing(context: FakeContext) -> None:
    names = context.settings.names
    job_id = context.upload(photo())
    context.results.fail(job_id, JobRequest(), FacesError(ErrorCode.NO_FACE))
    context.cache.ask(job_id, Question("question", "1:1"))
    context.cache.keep_answer(Question("question", "1:1"), "workers", b"{}")
    context.objects.add(names.out_bucket, attempt_key(job_id, "m-2"), b"", {})

    answer = call("DELETE", f"/v1/jobs/{job_id}")

    assert answer.status == 200
    assert answer.json == {"job_id": job_id, "unmatched_faces": 2}
    assert context.objects.head(names.in_bucket, upload_key(job_id)) is None
    assert context.objects.head(names.out_bucket, attempt_key(job_id, "m-2")) is None
    assert not context.cache.answers
    assert context.gallery.forgotten == [("default", job_id, "root")]
    for store in (
        context.objects.stored[names.out_bucket, result_key(job_id)][0],
        context.cache.results[job_id],
    ):
        assert b"job_deleted" in store
    gone = call("GET", f"/v1/jobs/{job_id}")
    assert (gone.status, gone.json["code"]) == (410, "job_deleted")
    assert call("DELETE", f"/v1/jobs/{job_id}").status == 200, "harmless when repeated"


def test_a_late_worker_does_not_bring_a_deleted_job_back(context: FakeContext) -> None:
    job_id = context.upload(photo())
    call("DELETE", f"/v1/jobs/{job_id}")
    assert not context.results.fail(job_id, JobRequest(), FacesError(ErrorCode.NO_FACE))
    assert call("GET", f"/v1/jobs/{job_id}").status == 410


def test_the_job_of_another_tenant_cannot_be_deleted(context: FakeContext) -> None:
    job_id = context.upload(photo(), JobRequest(tenant="another"))
    assert call("DELETE", f"/v1/jobs/{job_id}").status == 404
    assert context.objects.head(context.settings.names.in_bucket, upload_key(job_id))


def test_a_result_is_read_from_the_cache_first(context: FakeContext) -> None:
    job_id = context.upload(photo())
    context.results.fail(job_id, JobRequest(), FacesError(ErrorCode.NO_FACE))
    context.objects.away = True
    assert call("GET", f"/v1/jobs/{job_id}").json["state"] == "failed"


def test_what_only_s3_has_is_cached_when_it_is_read(context: FakeContext) -> None:
    job_id = context.upload(photo())
    context.results.fail(job_id, JobRequest(), FacesError(ErrorCode.NO_FACE))
    context.cache.results.clear()
    call("GET", f"/v1/jobs/{job_id}")
    assert job_id in context.cache.results
