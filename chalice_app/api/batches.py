"""Batches: many photos, one question, one state."""

import time

from chalice_app.batches import Batches
from chalice_app.registry import Area, Call
from faces import tracing
from faces.contracts.batches import BatchCreated, BatchView, NewBatch
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import JobKind
from faces.contracts.keys import Scope

area = Area("batches", "Many photos at once, opened in one call and counted together")


@area.operation("POST", "/v1/batches", scopes=[Scope.RECOGNISE, Scope.ENROL], status=201)
def create_batch(call: Call, body: NewBatch) -> BatchCreated:
    """Open up to 500 jobs and answer with a form for each photo.

    A batch of kind `enroll` needs the scope `enrol`, all others `recognise`.
    """
    call.caller.require(Scope.ENROL if body.kind is JobKind.ENROLL else Scope.RECOGNISE)
    start = time.time()
    created = _batches(call).open(
        body,
        tenant=call.tenant,
        key_id=call.caller.key_id,
        s3=call.context.s3,
        base_url=call.base_url,
    )
    end = time.time()
    for job in created.jobs:
        tracing.send(tracing.segment(job.job_id, tracing.FIRST, start, end))
    call.headers["Location"] = created.poll_url
    return created


@area.operation(
    "GET",
    "/v1/batches/{batch_id}",
    scopes=[Scope.READ, Scope.RECOGNISE, Scope.ENROL],
    errors=[ErrorCode.UNKNOWN_BATCH],
)
def get_batch(call: Call, batch_id: str) -> BatchView:
    """Answer how many of a batch's jobs stand where.

    A job that was deleted after its end stays counted as it ended; before, as failed.
    """
    return _batches(call).view(batch_id, tenant=call.tenant)


def _batches(call: Call) -> Batches:
    context = call.context
    return Batches(context.settings, context.objects, context.results, context.clock)
