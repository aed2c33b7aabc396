"""What happens when a job has ended: the numbers that operators watch."""

from aws_lambda_powertools.metrics import MetricUnit

from chalice_app.batch import Received
from chalice_app.observability import count, logger, metrics
from faces.contracts.jobs import JobDone


def handle(message: Received) -> None:
    """Count one job's end; a message that comes twice counts twice.

    Raises
    ------
    pydantic.ValidationError
        When the body is no `JobDone`: after its tries SQS keeps it in the resp-dlq.
    """
    done = JobDone.model_validate_json(message.body)
    logger.append_keys(job_id=done.job_id)
    seconds = (done.finished_at - done.submitted_at).total_seconds()
    count("JobsFinished", {"Kind": done.kind.value, "State": done.state.value})
    metrics.add_metric("EndToEndSeconds", MetricUnit.Seconds, seconds)
    if done.error_code is not None:
        count("Failures", {"Code": done.error_code.value})
    logger.info("job ended", kind=done.kind.value, state=done.state.value, seconds=seconds)
