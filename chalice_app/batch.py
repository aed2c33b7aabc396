"""One bad message must not cost the others of its batch.

Lambda deletes a batch when the handler returns and keeps all of it when it raises; Chalice
cannot report single failures (`ReportBatchItemFailures`). So when some messages fail, the
others are deleted here, and then the handler raises: only the failed ones come again.

Letting the good ones be repeated instead, as they are idempotent, would not be harmless.
Each repetition raises their receive count, so next to a message that fails every time
they would end in the dead-letter queue, and a job that a worker still has on its list
would be answered as failed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from chalice_app.observability import logger


@dataclass(frozen=True)
class Received:
    """One message as Lambda hands it over.

    Attributes
    ----------
    receive_count : how often SQS has handed it out, this time included.
    attributes : the system attributes, as SQS sent them.
    """

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int
    attributes: dict[str, str]

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Read one entry of a Lambda event's `Records`."""
        attributes = dict(record.get("attributes") or {})
        return cls(
            message_id=record["messageId"],
            receipt_handle=record["receiptHandle"],
            body=record["body"],
            receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
            attributes=attributes,
        )


class BatchFailed(Exception):
    """Some messages of a batch failed; raised so that SQS delivers those again."""


def work_through(
    records: Iterable[dict[str, Any]],
    handle: Callable[[Received], None],
    delete: Callable[[Sequence[str]], None],
) -> None:
    """Handle each message of a batch.

    Parameters
    ----------
    handle : handles one message; whatever it raises means "deliver it again".
    delete : deletes messages by their receipt handles; called only when some failed.

    Raises
    ------
    BatchFailed
        When at least one message failed.
    """
    done, failed = [], 0
    for record in records:
        message = Received.from_record(record)
        logger.append_keys(message_id=message.message_id)
        try:
            handle(message)
            done.append(message.receipt_handle)
        except Exception:  # noqa: BLE001 - any failure means: deliver it again
            failed += 1
            logger.exception("message failed", receive_count=message.receive_count)
        finally:
            logger.remove_keys(["message_id", "job_id"])
    if not failed:
        return
    if done:
        delete(done)
    raise BatchFailed(f"{failed} of {failed + len(done)} messages failed")
