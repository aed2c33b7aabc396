"""When a request is sent again, and after how long; pure.

Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015): before try n+1 the client waits a random time between nothing
and `base_seconds * 2**n`, at most `max_seconds`. A Retry-After that the service sends
(RFC 9110, section 10.2.3) is the least it waits.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

RETRYABLE_STATUS = frozenset({429, 502, 503, 504})


class Failure(Enum):
    """How a try failed, as far as sending again is concerned."""

    REFUSED = "the request was surely not acted upon"
    UNCLEAR = "the request may have been acted upon"


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how fast a request is sent again.

    Attributes
    ----------
    tries : at most so many, the first included.
    base_seconds, max_seconds : bounds of the backoff, see the module.
    max_retry_after_seconds : a longer Retry-After ends the tries.
    """

    tries: int = 5
    base_seconds: float = 0.2
    max_seconds: float = 8.0
    max_retry_after_seconds: float = 60.0

    def delay(
        self,
        failure: Failure,
        *,
        tried: int,
        idempotent: bool,
        retry_after: float | None,
        jitter: float,
    ) -> float | None:
        """Return the seconds to wait before the next try, or None when there is none.

        Parameters
        ----------
        tried : tries so far, 1 or more.
        idempotent : whether doing it twice is the same as doing it once.
        retry_after : what the service asked for, in seconds.
        jitter : a random number in [0, 1).
        """
        if tried >= self.tries or (failure is Failure.UNCLEAR and not idempotent):
            return None
        if retry_after is not None and retry_after > self.max_retry_after_seconds:
            return None
        ceiling = min(self.max_seconds, self.base_seconds * 2.0 ** (tried - 1))
        return (retry_after or 0.0) + ceiling * jitter


def failure_of_status(status: int) -> Failure | None:
    """Return how a status failed, or None when sending again would change nothing.

    429 and 503 come from the service itself, before or after it rolled back; 502 and 504
    come from what stands before it, which cannot know.
    """
    if status not in RETRYABLE_STATUS:
        return None
    return Failure.REFUSED if status in (429, 503) else Failure.UNCLEAR


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return Retry-After in seconds from `now` (aware); None when missing or malformed."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())
