"""Recent jobs: whose, which, in which order; and what they cost to find."""

from datetime import timedelta

import pytest

from chalice_app import dependencies, recent
from chalice_app.aws import ListedObject
from chalice_app.recent import Recent
from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.ids import first_id, id_time, new_id
from faces.contracts.jobs import JobKind, JobRequest, JobState
from faces.contracts.names import upload_key
from faces.contracts.operations import RecentJobs
from tests.unit.chalice_app.fakes import NOW, FakeContext
from tests.unit.chalice_app.gateway import call


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    made = FakeContext()
    monkeypatch.setattr(dependencies, "context", lambda: made)
    return made


def page(context: FakeContext, limit: int = 50, tenant: str = "default") -> RecentJobs:
    made = Recent(context.settings, context.objects, context.results)
    return made.page(tenant, limit, context.clock())


def upload(context: FakeContext, tenant: str = "default") -> str:
    context.clock.move(1)
    return context.upload(b"photo", JobRequest(tenant=tenant, file_name="a.jpg"))


def fail(context: FakeContext, job_id: str, code: ErrorCode = ErrorCode.NO_FACE) -> None:
    request = JobRequest(kind=JobKind.DETECT, collection="staff", file_name="a.jpg")
    context.results.fail(job_id, request, PhotoError(code))


def test_the_newest_come_first_and_say_how_they_ended(context: FakeContext) -> None:
    ended, waiting = upload(context), upload(context)
    fail(context, ended)
    found = page(context)
    assert [job.job_id for job in found.jobs] == [waiting, ended]
    assert [job.state for job in found.jobs] == [JobState.QUEUED, JobState.FAILED]
    _, job = found.jobs
    assert (job.kind, job.collection, job.file_name) == (JobKind.DETECT, "staff", "a.jpg")
    assert job.error is not None
    assert job.error.code == ErrorCode.NO_FACE
    assert job.finished_at == context.clock()
    assert found.complete


def test_errors_name_nobody(context: FakeContext) -> None:
    job_id = upload(context)
    error = PhotoError(ErrorCode.LOOKS_LIKE_ANOTHER, "Ann (1234) looks like this.")
    context.results.fail(job_id, JobRequest(), error)
    (job,) = page(context).jobs
    assert job.error is not None
    assert job.error.code == ErrorCode.LOOKS_LIKE_ANOTHER
    assert "Ann" not in job.error.message


def test_a_result_is_shown_after_its_photo_is_gone(context: FakeContext) -> None:
    job_id = upload(context)
    fail(context, job_id)
    context.objects.delete(context.settings.names.in_bucket, upload_key(job_id))
    assert [job.job_id for job in page(context).jobs] == [job_id]


def test_other_tenants_jobs_are_not_listed(context: FakeContext) -> None:
    theirs, ours = upload(context, "acme"), upload(context)
    fail(context, theirs)
    assert [job.job_id for job in page(context).jobs] == [ours]
    assert [job.job_id for job in page(context, tenant="acme").jobs] == [theirs]


def test_what_is_no_job_is_passed_over(context: FakeContext) -> None:
    context.objects.add(context.settings.names.in_bucket, upload_key(new_id()), b"", {})
    context.objects.add(context.settings.names.in_bucket, "uploads/zzz", b"", {})
    assert page(context).jobs == ()


def test_deleted_jobs_are_not_listed(context: FakeContext) -> None:
    job_id = upload(context)
    context.results.delete(job_id, JobRequest())
    assert page(context).jobs == ()


def test_a_result_of_another_version_is_left_out(context: FakeContext) -> None:
    job_id = upload(context)
    context.objects.add(
        context.settings.names.out_bucket, f"results/{job_id}.json", b'{"version": 9}', {}
    )
    assert page(context).jobs == ()


@pytest.mark.parametrize("days", [0, 1, 20])
def test_old_jobs_are_found_on_an_idle_stack(context: FakeContext, days: int) -> None:
    job_id = upload(context)
    fail(context, job_id)
    context.clock.move(86_400 * days)
    assert [job.job_id for job in page(context).jobs] == [job_id]


def test_no_more_than_the_limit_and_it_says_so(context: FakeContext) -> None:
    jobs = [upload(context) for _ in range(4)]
    found = page(context, limit=2)
    assert [job.job_id for job in found.jobs] == jobs[:-3:-1]
    assert not found.complete


def test_a_busy_stack_lists_only_what_is_new(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[str] = []
    listing = context.objects.listing

    def watched(bucket: str, prefix: str, *, after: str = "") -> object:
        starts.append(after)
        return listing(bucket, prefix, after=after)

    monkeypatch.setattr(context.objects, "listing", watched)
    upload(context)
    upload(context)
    assert len(page(context, limit=2).jobs) == 2
    moment = first_id(context.clock() - timedelta(seconds=30))
    assert sorted(starts) == [f"results/{moment}", f"uploads/{moment}"]


def test_a_listing_that_is_too_long_ends_the_search_with_the_newest(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "_MOST_KEYS", 3)
    for _ in range(5):
        upload(context, "acme")
    context.clock.move(100)
    ours = upload(context)
    found = page(context)
    assert [job.job_id for job in found.jobs] == [ours]
    assert not found.complete


def test_the_first_id_of_a_moment_sorts_before_all_others() -> None:
    assert id_time(first_id(NOW)) == NOW
    context = FakeContext()
    assert first_id(NOW) < context.new_job()
    assert first_id(NOW + timedelta(milliseconds=1)) > context.new_job()
    assert ListedObject(first_id(NOW), NOW).key[:13] == context.new_job()[:13]


def test_over_http(context: FakeContext) -> None:
    job_id = upload(context)
    answer = call("GET", "/v1/jobs?limit=1")
    assert answer.status == 200
    assert [job["job_id"] for job in answer.json["jobs"]] == [job_id]
    assert call("GET", "/v1/jobs?limit=0").json["field"] == "limit"
