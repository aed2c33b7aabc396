"""Records which suspects were really begun, so that who only waited is not given up.

SQS counts a receive for each message in the hands of a worker that dies. Which of them it
was working on only this says: an object that is made when the work on a suspect begins and
deleted when it ends in order. What processes that died left behind is counted when the
message comes to the dead letters (`chalice_app.rounds`).
"""

import logging
from typing import TYPE_CHECKING, Protocol

from faces.contracts.errors import TransientError
from faces.contracts.names import attempt_key
from gpu_worker.aws import aws_call
from gpu_worker.protocol import Task

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)


class Attempts(Protocol):
    """Who is told of the work on suspects; raises nothing."""

    def begun(self, task: Task) -> None:
        """The work begins now."""

    def ended(self, task: Task) -> None:
        """It ended in order: done, or handed back for no fault of the photo's."""


class S3Attempts:
    """`Attempts` as empty objects; where S3 is away the work goes on without."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def begun(self, task: Task) -> None:
        """Make the record of this delivery."""
        try:
            with aws_call("recording an attempt"):
                self._s3.put_object(Bucket=self._bucket, Key=_key(task), Body=b"")
        except TransientError as error:
            log.warning("an attempt is not recorded: %s", error.detail)

    def ended(self, task: Task) -> None:
        """Delete the record of this delivery."""
        try:
            with aws_call("deleting the record of an attempt"):
                self._s3.delete_object(Bucket=self._bucket, Key=_key(task))
        except TransientError as error:
            log.warning("an attempt stays recorded though it ended: %s", error.detail)


def _key(task: Task) -> str:
    message = task.message
    return attempt_key(task.job.job_id, f"{message.message_id}-{message.receive_count}")
