"""The worker's side of the req-queue."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeVar

from faces.contracts.errors import ErrorCode, FacesError, TransientError
from faces.contracts.ids import parse_id
from faces.contracts.jobs import JobMessage
from faces.contracts.names import upload_key
from gpu_worker.aws import aws_call

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
    )

MAX_BATCH = 10
"""Messages in one SQS call."""

Item = TypeVar("Item")


class MalformedMessageError(ValueError):
    """A message that no part of this project sends."""


@dataclass(frozen=True)
class Received:
    """A message in hand.

    Attributes
    ----------
    receipt : the handle of this delivery.
    receive_count : how often the message was delivered, this time included.
    """

    message_id: str
    receipt: str
    body: str
    receive_count: int

    @cached_property
    def redelivered(self) -> bool:
        """Whether an earlier delivery, or message, may have done part of the work."""
        if self.receive_count > 1:
            return True
        try:
            return self.job().rounds > 0
        except MalformedMessageError:
            return False

    def job(self) -> JobMessage:
        """Return the job.

        Raises
        ------
        MalformedMessageError
            When the body is no job message or names another object than the job's.
        """
        try:
            job = JobMessage.model_validate_json(self.body)
            parse_id(job.job_id, unknown=ErrorCode.UNKNOWN_JOB)
        except (ValueError, FacesError) as error:
            raise MalformedMessageError("the body is no job message") from error
        if job.key != upload_key(job.job_id):
            raise MalformedMessageError("the key does not belong to the job")
        return job


class JobQueue(Protocol):
    """What the worker does with its queue; everything raises TransientError when it is away."""

    def receive(self, count: int, wait_seconds: int) -> list[Received]:
        """Take up to `count` messages; wait for the first up to `wait_seconds`."""

    def extend(self, messages: Sequence[Received]) -> list[Received]:
        """Hide messages in hand for another visibility timeout; return those that were lost."""

    def release(self, messages: Sequence[Received], delay_seconds: int) -> None:
        """Hand messages back; they are visible again after the delay."""

    def delete(self, messages: Sequence[Received]) -> None:
        """Remove messages whose work is done."""


class SqsQueue:
    """A `JobQueue` on SQS."""

    def __init__(self, sqs: "SQSClient", url: str, visibility_seconds: int) -> None:
        self._sqs = sqs
        self._url = url
        self._visibility_seconds = visibility_seconds

    def receive(self, count: int, wait_seconds: int) -> list[Received]:
        """Take up to `count` messages (10 at most); wait up to `wait_seconds` (20 at most)."""
        with aws_call("receiving"):
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=self._visibility_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        return [
            Received(
                message_id=message["MessageId"],
                receipt=message["ReceiptHandle"],
                body=message["Body"],
                receive_count=int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            )
            for message in answer.get("Messages", [])
        ]

    def extend(self, messages: Sequence[Received]) -> list[Received]:
        """Hide messages in hand for another visibility timeout; return those that were lost."""
        lost = []
        for part in in_calls(messages):
            failed = self._hide("extending", part, self._visibility_seconds)
            # Where SQS itself failed, the next time will do.
            lost += [message for message, fault in failed if fault.get("SenderFault", True)]
        return lost

    def release(self, messages: Sequence[Received], delay_seconds: int) -> None:
        """Hand messages back; they are visible again after the delay.

        Those that SQS fails on reappear after their timeout.
        """
        failure = None
        for part in in_calls(messages):
            try:
                self._hide("handing back", part, delay_seconds)
            except TransientError as error:
                failure = error  # the others may be handed back all the same
        if failure is not None:
            raise failure

    def delete(self, messages: Sequence[Received]) -> None:
        """Remove messages whose work is done."""
        for part in in_calls(messages):
            with aws_call("deleting"):
                self._sqs.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(index), "ReceiptHandle": message.receipt}
                        for index, message in enumerate(part)
                    ],
                )

    def _hide(
        self, doing: str, part: Sequence[Received], seconds: int
    ) -> "list[tuple[Received, BatchResultErrorEntryTypeDef]]":
        """Set for how long a call's messages stay hidden; return those that failed, and why."""
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {"Id": str(index), "ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
            for index, message in enumerate(part)
        ]
        with aws_call(doing):
            answer = self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        return [(part[int(fault["Id"])], fault) for fault in answer.get("Failed", [])]


def in_calls(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield items in order, as many at a time as one SQS call takes."""
    for start in range(0, len(items), MAX_BATCH):
        yield items[start : start + MAX_BATCH]
