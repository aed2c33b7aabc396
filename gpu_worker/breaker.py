"""A circuit breaker for one dependency: leave it alone while it is away, then probe.

closed ── FAILURES in a row ──► open ── pause over ──► half open ── success ──► closed
                                 ▲                        │
                                 └── failure, twice the pause
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from faces.contracts.errors import FacesError, TransientError

log = logging.getLogger(__name__)

FAILURES = 3
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class State(StrEnum):
    """Whether calls are made."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Counts one dependency's failures; shared by all threads that call it.

    Parameters
    ----------
    name : of the dependency, for the log and the metrics.
    first_pause : seconds after which it is probed the first time.
    clock : monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        first_pause: float = FIRST_PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failures = 0
        self._first_pause = self._pause = first_pause
        self._until = 0.0

    @property
    def state(self) -> State:
        """What the breaker does now."""
        return self._state

    @property
    def due_seconds(self) -> float:
        """After how many seconds the next call may be made; 0 when now."""
        with self._lock:
            return 0.0 if self._state is State.CLOSED else max(0.0, self._until - self._clock())

    def admit(self) -> bool:
        """Return whether a call may be made now; it must then be made inside `watched`.

        While open, one caller is admitted after each pause: the probe. One that never
        comes back is forgotten after another pause.
        """
        with self._lock:
            if self._state is State.CLOSED:
                return True
            now = self._clock()
            if now < self._until:
                return False
            self._state = State.HALF_OPEN
            self._until = now + self._pause
            return True

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Learn from how the block ends; any error but TransientError is an answer, too."""
        try:
            yield
        except TransientError as error:
            self._failed(error)
            raise
        except FacesError:
            self._answered()
            raise
        else:
            self._answered()

    def _failed(self, error: TransientError) -> None:
        with self._lock:
            self._failures += 1
            if self._state is State.CLOSED and self._failures < FAILURES:
                return
            if self._state is State.OPEN:
                return  # an answer to a call from before; the pause is running
            if self._state is State.HALF_OPEN:
                self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause)
            self._state = State.OPEN
            self._until = self._clock() + self._pause
        log.warning(
            "%s is away: %s",
            self.name,
            error.detail,
            extra={"breaker": self.name, "state": self._state, "pause_seconds": self._pause},
        )

    def _answered(self) -> None:
        with self._lock:
            reopened = self._state is not State.CLOSED
            self._state = State.CLOSED
            self._failures = 0
            self._pause = self._first_pause
        if reopened:
            log.info("%s is back", self.name, extra={"breaker": self.name, "state": self._state})
