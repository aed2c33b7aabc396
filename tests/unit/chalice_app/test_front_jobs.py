"""The states of a job, worked out from its id, its upload and its result."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalice_app.aws import ObjectInfo
from chalice_app.jobs import id_secret, open_state, view_job
from faces.contracts.errors import ErrorCode, FacesError, PhotoError
from faces.contracts.jobs import JobRequest, JobState, JobView
from faces.contracts.settings import SettingsError
from tests.unit.chalice_app.fakes import NOW, FakeContext, make_settings, photo

# Well formed, and given out by nobody; fixed, because it names a test.
UNSIGNED = "01a1fe3f-4440-7283-9f9d-42adac281cfc"


@pytest.fixture
def context() -> FakeContext:
    return FakeContext(
        settings=make_settings(FACES_UPLOAD_SECONDS="900", FACES_JOB_TIMEOUT_SECONDS="3600")
    )


def view(context: FakeContext, job_id: str, tenant: str = "default") -> JobView:
    return view_job(
        job_id,
        tenant=tenant,
        settings=context.settings,
        objects=context.objects,
        results=context.results,
        now=context.clock(),
    )


def test_a_new_job_awaits_its_upload_until_the_form_expires(context: FakeContext) -> None:
    job_id = context.new_job()
    context.clock.move(900)
    found = view(context, job_id)
    assert (found.state, found.error) == (JobState.AWAITING_UPLOAD, None)
    assert found.submitted_at == NOW
    context.clock.move(1)
    found = view(context, job_id)
    assert found.state is JobState.EXPIRED
    assert found.error is not None
    assert found.error.code is ErrorCode.JOB_EXPIRED


def test_an_uploaded_job_is_queued_until_nobody_can_answer_any_more(context: FakeContext) -> None:
    job_id = context.upload(photo())
    context.clock.move(3600)
    assert view(context, job_id).state is JobState.QUEUED
    context.clock.move(1)
    found = view(context, job_id)
    assert found.state is JobState.FAILED
    assert found.error is not None
    assert found.error.code is ErrorCode.WORKER_GAVE_UP


def test_a_job_with_a_result_is_answered_with_it(context: FakeContext) -> None:
    job_id = context.upload(photo())
    context.results.fail(job_id, JobRequest(), PhotoError(ErrorCode.NO_FACE))
    context.objects.stored = {
        where: stored for where, stored in context.objects.stored.items() if "out" in where[0]
    }
    context.clock.move(10**6)
    found = view(context, job_id)
    assert found.state is JobState.FAILED
    assert found.error is not None
    assert found.error.code is ErrorCode.NO_FACE
    assert found.result is not None
    assert found.result.job_id == job_id


@pytest.mark.parametrize("text", ["", "x", "../secrets", UNSIGNED, "0" * 36])
def test_ids_that_were_never_given_out(context: FakeContext, text: str) -> None:
    with pytest.raises(FacesError) as caught:
        view(context, text)
    assert caught.value.code is ErrorCode.UNKNOWN_JOB


def test_another_tenants_job_is_unknown(context: FakeContext) -> None:
    job_id = context.new_job("somebody")
    assert view(context, job_id, "somebody").state is JobState.AWAITING_UPLOAD
    with pytest.raises(FacesError):
        view(context, job_id, "else")


def test_without_a_secret_there_are_no_ids() -> None:
    with pytest.raises(SettingsError, match="FACES_ID_SECRET"):
        id_secret(make_settings(FACES_ID_SECRET=""))


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_an_upload_that_is_there_never_counts_as_expired(
    uploaded_after: int, waited: int, later: int
) -> None:
    settings = make_settings(FACES_UPLOAD_SECONDS="900", FACES_JOB_TIMEOUT_SECONDS="3600")
    upload = ObjectInfo(1, NOW + timedelta(seconds=uploaded_after), {})
    now = upload.last_modified + timedelta(seconds=waited)
    state, code = open_state(NOW, upload, settings, now)
    assert (state, code) == (
        (JobState.FAILED, ErrorCode.WORKER_GAVE_UP) if waited > 3600 else (JobState.QUEUED, None)
    )
    # Once ended, it stays so.
    then, _ = open_state(NOW, upload, settings, now + timedelta(seconds=later))
    assert not state.final or then is state
