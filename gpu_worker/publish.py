"""Results: written once, then announced."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import ValidationError

from faces.contracts.jobs import JobDone, JobRequest, JobState
from faces.contracts.names import result_key
from faces.contracts.results import JobResult
from gpu_worker.aws import aws_call, error_code, require_whole
from gpu_worker.queue import in_calls

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

# One try, well within the time for which the gallery holds whom a result names
# (`faces.gallery.holding.HOLD_SECONDS`); the stage tries again, and holds them anew.
PUBLISHING = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1})


class ResultStore(Protocol):
    """Keeps results for ever."""

    def stored(self, job_id: str) -> JobResult | None:
        """Return the result of a job that has one."""

    def store(self, result: JobResult) -> JobResult:
        """Write a result unless the job has one; return the one that counts."""


class Announcer(Protocol):
    """Tells the front end which jobs have ended."""

    def announce(self, done: Sequence[JobDone]) -> list[bool]:
        """Tell of each; return which were taken."""


class S3Results:
    """Results in an S3 bucket; raises TransientError when S3 does not answer."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def stored(self, job_id: str) -> JobResult | None:
        """Return the result of a job that has one which this version can read."""
        with aws_call("reading the result"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=result_key(job_id))
            except ClientError as error:
                if error_code(error) in {"NoSuchKey", "404"}:
                    return None
                raise
            require_whole(answer)
            body = answer["Body"].read()
        try:
            return JobResult.model_validate_json(body)
        except ValidationError:
            log.warning("a stored result is not readable, from a newer version perhaps")
            return None

    def store(self, result: JobResult) -> JobResult:
        """Write a result unless the job has one; return the one that counts.

        Two workers may hold the same job when a message was delivered twice; S3 lets one
        of them write (`If-None-Match: *`, S3 API reference, "PutObject").
        """
        with aws_call("writing the result"):
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=result_key(result.job_id),
                    Body=result.model_dump_json().encode(),
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if error_code(error) not in {"PreconditionFailed", "412"}:
                    raise
            else:
                return result
        return self.stored(result.job_id) or result


class SqsAnnouncer:
    """Announcements on an SQS queue; raises TransientError when SQS does not answer."""

    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    def announce(self, done: Sequence[JobDone]) -> list[bool]:
        """Send a message for each; return which were taken."""
        taken = []
        for part in in_calls(done):
            with aws_call("announcing the results"):
                answer = self._sqs.send_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(index), "MessageBody": each.model_dump_json()}
                        for index, each in enumerate(part)
                    ],
                )
            named = {entry["Id"] for entry in answer.get("Successful", [])}
            taken += [str(index) in named for index in range(len(part))]
        return taken


def done_message(result: JobResult, request: JobRequest) -> JobDone:
    """Return the announcement of a result."""
    return JobDone(
        job_id=result.job_id,
        kind=request.kind,
        state=JobState(result.state),
        tenant=result.tenant,
        error_code=result.error.code if result.error else None,
        callback_url=request.callback_url,
        submitted_at=result.submitted_at,
        finished_at=result.finished_at,
    )
