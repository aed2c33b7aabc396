"""Dead letters: messages that were given up, as they are kept, answered and redriven."""

from datetime import datetime

from pydantic import Field

from faces.contracts.base import Document, StoredDocument


class DeadLetter(StoredDocument):
    """A message that was given up, as it is kept.

    Attributes
    ----------
    job_id : None when the body does not say.
    queue : the dead-letter queue that it ended on.
    body : as it was on the queue.
    attributes : the system attributes, as SQS gave them with the message.
    kept_at : UTC, as `redriven_at`: when it was last put on its way again.
    """

    version: int = 1
    job_id: str | None
    queue: str
    message_id: str
    body: str
    receive_count: int
    attributes: dict[str, str]
    reason: str
    kept_at: datetime
    redriven_at: datetime | None = None


class DeadLetterPage(StoredDocument):
    """Some dead letters, the oldest jobs first; `next_cursor` asks for more."""

    letters: tuple[DeadLetter, ...]
    next_cursor: str | None = None


class DeadLetterQuery(Document):
    """The query of `GET /v1/dead-letters`.

    Attributes
    ----------
    cursor : `next_cursor` of the page before.
    """

    cursor: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=50, ge=1, le=100)
