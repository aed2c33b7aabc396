"""Jobs: a photo to be sent, and what is known of it."""

from chalice_app import jobs
from chalice_app.observability import logger
from chalice_app.registry import Area, Call
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import JobCreated, JobKind, JobRequest, JobView, NewJob
from faces.contracts.keys import Scope

area = Area("jobs", "Photos to be sent, and what is known of them")


@area.operation("POST", "/v1/jobs", scopes=[Scope.RECOGNISE, Scope.ENROL], status=201)
def create_job(call: Call, body: NewJob) -> JobCreated:
    """Open a job and answer with the form for its photo.

    A job of kind `enroll` needs the scope `enrol`, all others `recognise`.
    """
    call.caller.require(Scope.ENROL if body.kind is JobKind.ENROLL else Scope.RECOGNISE)
    request = JobRequest(
        **{name: getattr(body, name) for name in body.model_fields_set},
        tenant=call.tenant,
        key_id=call.caller.key_id,
    )
    created = jobs.open_job(
        request,
        settings=call.context.settings,
        s3=call.context.s3,
        base_url=call.base_url,
        now=call.context.clock(),
    )
    logger.append_keys(job_id=created.job_id)
    call.headers["Location"] = created.poll_url
    return created


@area.operation(
    "GET",
    "/v1/jobs/{job_id}",
    scopes=[Scope.READ, Scope.RECOGNISE, Scope.ENROL],
    errors=[ErrorCode.UNKNOWN_JOB],
)
def get_job(call: Call, job_id: str) -> JobView:
    """Answer where a job stands, with its result once it has ended."""
    logger.append_keys(job_id=job_id)
    return jobs.view_job(
        job_id,
        tenant=call.tenant,
        settings=call.context.settings,
        objects=call.context.objects,
        results=call.context.results,
        now=call.context.clock(),
    )
