"""Places in a list, from which the next page goes on; they stay valid when rows go."""

import base64
import json
from uuid import UUID

from faces.contracts.errors import InvalidInput


def read_id(cursor: str | None) -> UUID | None:
    """Return the id after which a page begins; InvalidInput for anything else."""
    try:
        return UUID(cursor) if cursor is not None else None
    except ValueError:
        raise _wrong() from None


def write_name(lower_name: str, person_id: UUID) -> str:
    """Return the place of a person in the order by name."""
    # A letter takes four bytes at most as it is, twelve escaped.
    text = json.dumps([lower_name, str(person_id)], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_name(cursor: str) -> tuple[str, str]:
    """Return name and id after which a page begins; InvalidInput for anything else."""
    try:
        lower_name, person_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if not isinstance(lower_name, str) or not lower_name.isprintable():
            raise ValueError(lower_name)
        return lower_name, str(UUID(person_id))
    except (ValueError, TypeError, AttributeError):
        raise _wrong() from None


def _wrong() -> InvalidInput:
    return InvalidInput("cursor", "cursor: use the next_cursor of the page before")
