"""Jobs that were given up: what is kept of them, and another try."""

from chalice_app.redrive import Redrive
from chalice_app.registry import Area, Call
from faces.contracts.dead_letters import DeadLetter, DeadLetterPage, DeadLetterQuery
from faces.contracts.errors import ErrorCode
from faces.contracts.keys import Scope

area = Area("dead letters", "Jobs that were given up, kept for inspection")


@area.operation("GET", "/v1/dead-letters", scopes=[Scope.ADMIN])
def list_dead_letters(call: Call, query: DeadLetterQuery) -> DeadLetterPage:
    """List the dead letters of the tenant's jobs, the oldest first, page by page.

    The stack's own key also sees messages that spoke of no job.
    """
    return _redrive(call).page(query.cursor, query.limit)


@area.operation(
    "POST",
    "/v1/dead-letters/{job_id}/redrive",
    scopes=[Scope.ADMIN],
    status=202,
    errors=[ErrorCode.UNKNOWN_JOB, ErrorCode.JOB_ANSWERED, ErrorCode.JOB_DELETED],
)
def redrive_dead_letter(call: Call, job_id: str) -> DeadLetter:
    """Have a job that was given up worked on once more; its failed result goes.

    The letter stays, with the time of the redrive. Asking again does no harm.
    """
    return _redrive(call).redrive(job_id)


def _redrive(call: Call) -> Redrive:
    context = call.context
    return Redrive(
        settings=context.settings,
        objects=context.objects,
        queues=context.queues,
        results=context.results,
        clock=context.clock,
        tenant=call.tenant,
        sees_all=call.caller.is_root,
    )
