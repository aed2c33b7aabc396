"""The public HTTP interface, version 1."""

from chalice.app import Blueprint, Response

from chalice_app import health, jobs, people
from chalice_app.http import Call, answer, endpoint
from chalice_app.observability import logger
from faces.contracts.version import CODE_VERSION

blueprint = Blueprint(__name__)

_PLACEHOLDER = f"Elastic Faces {CODE_VERSION}: the API is under /v1, its state at /health.\n"


@endpoint(blueprint, "GET", "/", needs_key=False)
def index(_call: Call) -> Response:
    """Say what answers here."""
    return Response(_PLACEHOLDER, {"Content-Type": "text/plain; charset=utf-8"})


@endpoint(blueprint, "GET", "/health", needs_key=False)
def get_health(call: Call) -> Response:
    """Say whether the service works; with ?deep=1 whether database and queue answer."""
    context = call.context
    stack = context.settings.stack
    if call.query("deep") != "1":
        return answer(health.shallow(stack))
    queue = context.settings.names.req_queue
    checks = {
        "database": context.check_database,
        "queue": lambda: context.queues.check(queue),
    }
    return answer(health.deep(stack, checks))


@endpoint(blueprint, "POST", "/v1/jobs")
def create_job(call: Call) -> Response:
    """Open a job and answer with the form for its photo."""
    created = jobs.open_job(
        call.json(),
        tenant=call.tenant,
        settings=call.context.settings,
        s3=call.context.s3,
        base_url=call.base_url,
        now=call.context.clock(),
    )
    logger.append_keys(job_id=created.job_id)
    response = answer(created, 201)
    response.headers["Location"] = created.poll_url
    return response


@endpoint(blueprint, "GET", "/v1/jobs/{job_id}")
def get_job(call: Call, job_id: str) -> Response:
    """Answer where a job stands, with its result once it has ended."""
    logger.append_keys(job_id=job_id)
    return answer(
        jobs.view_job(
            job_id,
            tenant=call.tenant,
            settings=call.context.settings,
            objects=call.context.objects,
            results=call.context.results,
            now=call.context.clock(),
        )
    )


@endpoint(blueprint, "POST", "/v1/people")
def enroll_person(call: Call) -> Response:
    """Enrol an unknown face by its req_id."""
    gallery = call.context.gallery
    return answer(people.enroll_unknown(call.json(), tenant=call.tenant, gallery=gallery), 201)


@endpoint(blueprint, "GET", "/v1/people")
def list_people(call: Call) -> Response:
    """Answer the people of a collection, page by page."""
    return answer(
        people.list_people(
            tenant=call.tenant,
            collection=call.query("collection"),
            query=call.query("query"),
            cursor=call.query("cursor"),
            limit=call.query("limit"),
            gallery=call.context.gallery,
        )
    )


@endpoint(blueprint, "GET", "/v1/people/{person_id}")
def get_person(call: Call, person_id: str) -> Response:
    """Answer one person."""
    return answer(
        people.get_person(
            person_id,
            tenant=call.tenant,
            collection=call.query("collection"),
            gallery=call.context.gallery,
        )
    )


@endpoint(blueprint, "DELETE", "/v1/people/{person_id}")
def delete_person(call: Call, person_id: str) -> Response:
    """Delete a person with all their faces."""
    return answer(
        people.delete_person(
            person_id,
            tenant=call.tenant,
            collection=call.query("collection"),
            gallery=call.context.gallery,
        )
    )
