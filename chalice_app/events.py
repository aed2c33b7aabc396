"""The functions behind queues and clock: intake, notify, webhook, the dead letters, sweep.

Event handlers of a blueprint can use neither `.log` nor `current_app`. The names of the
queues must be known when this module is imported, so the stack's name is a variable of
the Chalice stage.

`maximum_concurrency` keeps SQS from handing out more batches than there are functions to
take them: a batch that Lambda refuses counts as received, and would end as a dead letter.
"""

import os
from collections.abc import Callable
from typing import Any

import boto3
from chalice.app import BaseLambdaEvent, Blueprint, Rate, SQSEvent

from chalice_app import migrate as migrations
from chalice_app import notify as notifications
from chalice_app.batch import Received, work_through
from chalice_app.dead_letters import (
    REASON_INTAKE,
    REASON_WORKER,
    DeadLetters,
    job_of_request,
    jobs_of_notification,
)
from chalice_app.dependencies import context
from chalice_app.intake import Intake
from chalice_app.observability import instrumented
from chalice_app.rounds import Rounds
from chalice_app.sweep import Sweep
from faces.contracts.settings import DatabaseSettings, StackSettings

blueprint = Blueprint(__name__)

_names = StackSettings.load(os.environ).names


def _work_through(event: SQSEvent, queue: str, handle: Callable[[Received], None]) -> None:
    queues = context().queues
    work_through(event.to_dict()["Records"], handle, lambda handles: queues.delete(queue, handles))


@blueprint.on_sqs_message(
    queue=_names.uploads_queue, batch_size=10, maximum_concurrency=10, name="intake"
)
@instrumented
def intake(event: SQSEvent) -> None:
    """Take in uploads."""
    made = context()
    taker = Intake(made.settings, made.objects, made.queues, made.results, made.repeats)
    _work_through(event, _names.uploads_queue, taker.handle)


@blueprint.on_sqs_message(
    queue=_names.resp_queue, batch_size=10, maximum_concurrency=5, name="notify"
)
@instrumented
def notify(event: SQSEvent) -> None:
    """Follow up on jobs that ended."""
    queues = context().queues
    _work_through(
        event,
        _names.resp_queue,
        lambda message: notifications.handle(message, queues, _names),
    )


@blueprint.on_sqs_message(
    # One at a time: a receiver that answers slowly holds up no other's callback.
    queue=_names.webhooks_queue,
    batch_size=1,
    maximum_concurrency=5,
    name="webhook",
)
@instrumented
def webhook(event: SQSEvent) -> None:
    """Send callbacks."""
    _work_through(event, _names.webhooks_queue, context().webhooks.handle)


@blueprint.on_sqs_message(
    queue=_names.req_dlq, batch_size=10, maximum_concurrency=2, name="dead_requests"
)
@instrumented
def dead_requests(event: SQSEvent) -> None:
    """Keep and answer jobs that no worker finished."""
    made = context()
    rounds = Rounds(made.objects, made.queues, made.results, made.settings.names)
    _dead_letters(event, _names.req_dlq, REASON_WORKER, job_of_request, rounds)


@blueprint.on_sqs_message(
    queue=_names.uploads_dlq, batch_size=10, maximum_concurrency=2, name="dead_uploads"
)
@instrumented
def dead_uploads(event: SQSEvent) -> None:
    """Keep and answer uploads that could not be taken in."""
    _dead_letters(event, _names.uploads_dlq, REASON_INTAKE, jobs_of_notification)


def _dead_letters(
    event: SQSEvent,
    queue: str,
    reason: str,
    job_ids: Callable[[str], list[str]],
    rounds: Rounds | None = None,
) -> None:
    made = context()
    letters = DeadLetters(
        queue,
        reason,
        job_ids,
        objects=made.objects,
        results=made.results,
        names=made.settings.names,
        clock=made.clock,
        rounds=rounds,
    )
    _work_through(event, queue, letters.handle)


class SweepEvent(BaseLambdaEvent):
    """A scheduled event, or anything by which an operator asks for a sweep.

    Chalice's own event class demands every field of a scheduled event.
    """

    def _extract_attributes(self, event_dict: dict[str, Any]) -> None:
        """Take nothing: a sweep has no parameters."""


@blueprint.schedule(Rate(5, unit=Rate.MINUTES), name="sweep")
@instrumented
def sweep(_event: SweepEvent) -> None:
    """Delete photos, results and unknown faces whose time is over."""
    made = context()
    Sweep(made.objects, made.results, made.gallery, made.settings.names, made.clock).run()


sweep.event_class = SweepEvent


@blueprint.lambda_function(name="migrate")
def migrate(_event: Any, _context: Any) -> dict[str, list[str]]:
    """Bring the database up to date; what a deployment calls last."""

    def secrets() -> migrations.Secrets:
        client: migrations.Secrets = boto3.client("secretsmanager")
        return client

    settings = DatabaseSettings.load(os.environ)
    return migrations.run(settings, migrations.secret_arn(), secrets)
