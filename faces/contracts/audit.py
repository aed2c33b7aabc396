"""The audit log as the API answers it: who changed what, and when."""

from datetime import datetime

from pydantic import Field

from faces.contracts.base import Document, StoredDocument
from faces.contracts.people import MAX_LIMIT


class AuditEntry(StoredDocument):
    """One change.

    Attributes
    ----------
    recorded_at : UTC.
    key_id : who: the id of the key that asked, `root` for the stack's own, `system` for
        what the service does by itself.
    action : such as `person.delete`.
    target : id of what was changed.
    counts : how much went with it, such as `faces` and `photos`.
    """

    entry_id: str
    recorded_at: datetime
    key_id: str
    action: str
    collection: str | None = None
    target: str | None = None
    counts: dict[str, int] = Field(default_factory=dict)


class AuditPage(StoredDocument):
    """Some entries, the newest first; `next_cursor` asks for older ones."""

    entries: tuple[AuditEntry, ...]
    next_cursor: str | None = None


class AuditQuery(Document):
    """The query of `GET /v1/audit`; all that is given must apply to an entry.

    Attributes
    ----------
    cursor : `next_cursor` of the page before.
    """

    collection: str | None = Field(default=None, max_length=63)
    target: str | None = Field(default=None, max_length=200)
    action: str | None = Field(default=None, max_length=50)
    cursor: str | None = Field(default=None, max_length=36)
    limit: int = Field(default=50, ge=1, le=MAX_LIMIT)
