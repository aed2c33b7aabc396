"""What happens when a job has ended: the client's callback, and the numbers for operators."""

from aws_lambda_powertools.metrics import MetricUnit

from chalice_app.aws import Queues
from chalice_app.batch import Received
from chalice_app.observability import count, logger, metrics
from chalice_app.webhooks import delivery
from faces.contracts.jobs import JobDone
from faces.contracts.names import StackNames
from faces.tracing import traced


def handle(message: Received, queues: Queues, names: StackNames) -> None:
    """Count one job's end and have its callback sent; both twice for a repeated message.

    Raises
    ------
    pydantic.ValidationError
        When the body is no `JobDone`: after its tries SQS keeps it in the resp-dlq.
    TransientError
        When the webhooks-queue did not answer.
    """
    done = JobDone.model_validate_json(message.body)
    logger.append_keys(job_id=done.job_id)
    with traced(done.job_id, "notify", state=done.state.value):
        _follow_up(done, queues, names)


def _follow_up(done: JobDone, queues: Queues, names: StackNames) -> None:
    callback = delivery(done)
    if callback is not None:
        queues.send(names.webhooks_queue, callback.model_dump_json())
    seconds = (done.finished_at - done.submitted_at).total_seconds()
    count("JobsFinished", {"Kind": done.kind.value, "State": done.state.value})
    metrics.add_metric("EndToEndSeconds", MetricUnit.Seconds, seconds)
    if done.error_code is not None:
        count("Failures", {"Code": done.error_code.value})
    logger.info("job ended", kind=done.kind.value, state=done.state.value, seconds=seconds)
