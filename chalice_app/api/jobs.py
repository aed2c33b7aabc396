"""Jobs: a photo to be sent, and what is known of it."""

import time

from chalice_app import jobs
from chalice_app.observability import logger
from chalice_app.registry import Area, Call
from chalice_app.waiting import wait_for_end
from faces import tracing
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import (
    JobCreated,
    JobDeleted,
    JobKind,
    JobQuery,
    JobRequest,
    JobView,
    NewJob,
)
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
    start = time.time()
    created = jobs.open_job(
        request,
        settings=call.context.settings,
        s3=call.context.s3,
        base_url=call.base_url,
        now=call.context.clock(),
    )
    logger.append_keys(job_id=created.job_id)
    tracing.send(tracing.segment(created.job_id, tracing.FIRST, start, time.time()))
    call.headers["Location"] = created.poll_url
    return created


@area.operation(
    "GET",
    "/v1/jobs/{job_id}",
    scopes=[Scope.READ, Scope.RECOGNISE, Scope.ENROL],
    errors=[ErrorCode.UNKNOWN_JOB, ErrorCode.JOB_DELETED],
)
def get_job(call: Call, job_id: str, query: JobQuery) -> JobView:
    """Answer where a job stands, with its result once it has ended.

    With `wait` the answer comes as soon as the job has ended, or after so many seconds.
    """
    logger.append_keys(job_id=job_id)
    context = call.context

    def look() -> JobView:
        return jobs.view_job(
            job_id,
            tenant=call.tenant,
            settings=context.settings,
            objects=context.objects,
            results=context.results,
            now=context.clock(),
        )

    return wait_for_end(look, job_id, context.cache, query.wait)


@area.operation(
    "DELETE",
    "/v1/jobs/{job_id}",
    scopes=[Scope.RECOGNISE, Scope.ENROL],
    errors=[ErrorCode.UNKNOWN_JOB],
)
def delete_job(call: Call, job_id: str) -> JobDeleted:
    """Delete a job's photo and result, and the vectors of its unknown faces.

    A face that the job enrolled stays; delete it with the person.
    """
    logger.append_keys(job_id=job_id)
    return jobs.delete_job(
        job_id,
        tenant=call.tenant,
        settings=call.context.settings,
        objects=call.context.objects,
        results=call.context.results,
        gallery=call.context.gallery,
        actor=call.caller.key_id,
    )
