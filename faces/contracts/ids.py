"""Identifiers: time-ordered, unguessable, and safe in a URL, a key and a file name.

UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, 74 random bits.
"""

import uuid
from datetime import UTC, datetime

from uuid6 import uuid7

from faces.contracts.errors import ErrorCode, FacesError


def new_id() -> str:
    """Return a new UUIDv7 in its canonical lower-case form (36 characters)."""
    return str(uuid7())


def parse_id(text: str, *, unknown: ErrorCode = ErrorCode.UNKNOWN_JOB) -> str:
    """Return `text` in canonical form.

    Raises
    ------
    FacesError
        With the code `unknown` when `text` is no UUIDv7: an id that was never
        given out is answered like one that is not there.
    """
    try:
        parsed = uuid.UUID(text)
    except (ValueError, AttributeError):
        raise FacesError(unknown) from None
    if parsed.version != 7 or str(parsed) != text.lower():
        raise FacesError(unknown)
    return str(parsed)


def id_time(identifier: str) -> datetime:
    """Return when a UUIDv7 was made, in UTC, to the millisecond."""
    milliseconds = uuid.UUID(identifier).int >> 80
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
