"""Dead letters: kept for inspection, then answered.

An event Lambda deletes what it consumed, so each dead letter is first written to the
out-bucket, whatever its body is. Only then the job, where it can be told, ends as failed.
A job that only waited in the hands of dying workers is put back instead.
"""

from collections.abc import Callable
from datetime import datetime

from chalice_app.aws import Objects
from chalice_app.batch import Received
from chalice_app.intake import readable_request
from chalice_app.observability import logger, metrics
from chalice_app.results import Results
from chalice_app.rounds import Rounds
from chalice_app.s3_events import NotANotification, created_objects, upload_job_id
from faces.contracts.dead_letters import DeadLetter
from faces.contracts.errors import ErrorCode, FacesError, PhotoError
from faces.contracts.ids import parse_id
from faces.contracts.jobs import JobMessage, JobRequest
from faces.contracts.names import StackNames, dead_letter_key, upload_key
from faces.tracing import traced

REASON_WORKER = "no worker finished the job in as many tries as the req-queue allows"
REASON_INTAKE = "the upload could not be taken in, in as many tries as the uploads-queue allows"


class DeadLetters:
    """Keeps and answers what ended on one dead-letter queue.

    Parameters
    ----------
    queue : the dead-letter queue's name.
    reason : why messages end there.
    job_ids : returns the jobs that a body speaks of; none when it cannot be read.
    clock : returns the present time (aware).
    rounds : puts back who is not to be given up yet; nobody is put back without.
    """

    def __init__(
        self,
        queue: str,
        reason: str,
        job_ids: Callable[[str], list[str]],
        *,
        objects: Objects,
        results: Results,
        names: StackNames,
        clock: Callable[[], datetime],
        rounds: Rounds | None = None,
    ) -> None:
        self._queue = queue
        self._reason = reason
        self._job_ids = job_ids
        self._objects = objects
        self._results = results
        self._names = names
        self._clock = clock
        self._rounds = rounds

    def handle(self, message: Received) -> None:
        """Keep one dead letter, then end its jobs; or have them tried again."""
        job_ids = self._job_ids(message.body)
        for job_id in job_ids:
            logger.append_keys(job_id=job_id)
            if self._rounds is not None and self._rounds.another(message.body, job_id):
                return
            with traced(job_id, "dead-letter", queue=self._queue):
                self._keep(message, job_id)
                gave_up = PhotoError(ErrorCode.WORKER_GAVE_UP)
                self._results.fail(job_id, self._request(job_id), gave_up)
            if self._rounds is not None:
                self._rounds.attempts.clear(job_id)
        if not job_ids:
            self._keep(message, None)
        metrics.add_metric("DeadLetters", "Count", 1)

    def _keep(self, message: Received, job_id: str | None) -> None:
        letter = DeadLetter(
            job_id=job_id,
            queue=self._queue,
            message_id=message.message_id,
            body=message.body,
            receive_count=message.receive_count,
            attributes=message.attributes,
            reason=self._reason,
            kept_at=self._clock(),
        )
        key = dead_letter_key(job_id or f"message-{message.message_id}")
        self._objects.put(self._names.out_bucket, key, letter.model_dump_json().encode())
        logger.error("dead letter kept", queue=self._queue, key=key, reason=self._reason)

    def _request(self, job_id: str) -> JobRequest:
        info = self._objects.head(self._names.in_bucket, upload_key(job_id))
        request = None if info is None else readable_request(info)
        return request or JobRequest()


def job_of_request(body: str) -> list[str]:
    """Return the job of a req-queue message."""
    try:
        job_id = JobMessage.model_validate_json(body).job_id
        return [parse_id(job_id, unknown=ErrorCode.UNKNOWN_JOB)]
    except (ValueError, FacesError):
        return []


def jobs_of_notification(body: str) -> list[str]:
    """Return the jobs of an uploads-queue message."""
    try:
        created = created_objects(body)
    except NotANotification:
        return []
    job_ids = (upload_job_id(item.key) for item in created)
    return [job_id for job_id in job_ids if job_id is not None]
