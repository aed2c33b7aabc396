"""Identifiers: time-ordered, unguessable, and safe in a URL, a key and a file name.

All are UUIDs of version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then
74 bits that nobody can guess. A job's id also proves where it came from: 34 of those
bits are random, the other 40 an HMAC of time, random bits and tenant. So an id that was
never given out, or was given to another tenant, is told from one whose photo has not
come yet, and no table of jobs is needed for that.
"""

import hashlib
import hmac
import secrets
import uuid
from datetime import UTC, datetime

from uuid6 import uuid7

from faces.contracts.errors import ErrorCode, FacesError

_MAC_BITS = 40
_RANDOM_BITS = 34


def new_id() -> str:
    """Return a new UUIDv7 in its canonical lower-case form (36 characters)."""
    return str(uuid7())


def parse_id(text: str, *, unknown: ErrorCode) -> str:
    """Return `text` in canonical form.

    Raises
    ------
    FacesError
        With the code `unknown` when `text` is no UUIDv7: an id that was never
        given out is answered like one that is not there.
    """
    try:
        parsed = uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        raise FacesError(unknown) from None
    if parsed.version != 7 or str(parsed) != text.lower():
        raise FacesError(unknown)
    return str(parsed)


def id_time(identifier: str) -> datetime:
    """Return when a UUIDv7 was made, in UTC, to the millisecond."""
    milliseconds = uuid.UUID(identifier).int >> 80
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def first_id(moment: datetime) -> str:
    """Return the least of all UUIDv7 that are made at `moment` (aware) or later."""
    return _assemble(round(moment.timestamp() * 1000), 0)


def new_job_id(secret: bytes, tenant: str, now: datetime) -> str:
    """Return a new job id for `tenant`, made at `now` (aware)."""
    milliseconds = round(now.timestamp() * 1000)
    random = secrets.randbits(_RANDOM_BITS)
    return _assemble(milliseconds, random << _MAC_BITS | _mac(secret, tenant, milliseconds, random))


def check_job_id(text: str, secret: bytes, tenant: str) -> str:
    """Return the job id in canonical form if it was made for `tenant` with `secret`.

    Raises
    ------
    FacesError
        `unknown_job` otherwise.
    """
    job_id = parse_id(text, unknown=ErrorCode.UNKNOWN_JOB)
    milliseconds, tail = _take_apart(job_id)
    mac = tail & ((1 << _MAC_BITS) - 1)
    expected = _mac(secret, tenant, milliseconds, tail >> _MAC_BITS)
    size = _MAC_BITS // 8
    if not hmac.compare_digest(mac.to_bytes(size), expected.to_bytes(size)):
        raise FacesError(ErrorCode.UNKNOWN_JOB)
    return job_id


def derived_id(job_id: str, part: str) -> str:
    """Return the id of `part` of a job: the same each time, and as unguessable as the job's.

    A message that is delivered twice so gives the same `req_id` and face ids twice.
    """
    milliseconds, _ = _take_apart(job_id)
    digest = hashlib.sha256(f"{job_id}/{part}".encode()).digest()
    return _assemble(milliseconds, int.from_bytes(digest) >> (256 - _RANDOM_BITS - _MAC_BITS))


def _mac(secret: bytes, tenant: str, milliseconds: int, random: int) -> int:
    text = f"{milliseconds}/{random}/{tenant}".encode()
    digest = hmac.new(secret, text, hashlib.sha256).digest()
    return int.from_bytes(digest[: _MAC_BITS // 8])


def _assemble(milliseconds: int, tail: int) -> str:
    """Return the UUIDv7 with these 48 bits of time and 74 bits of `tail`."""
    bits = milliseconds << 80 | 7 << 76 | (tail >> 62) << 64 | 2 << 62 | tail & ((1 << 62) - 1)
    return str(uuid.UUID(int=bits))


def _take_apart(identifier: str) -> tuple[int, int]:
    """Return the milliseconds and the 74 bits that follow, without version and variant."""
    bits = uuid.UUID(identifier).int
    return bits >> 80, (bits >> 64 & 0xFFF) << 62 | bits & ((1 << 62) - 1)
