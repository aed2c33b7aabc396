"""The worker from its first receive to its end: idle, or asked to end."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from faces.contracts.errors import TransientError
from gpu_worker.backends.memory import make_room
from gpu_worker.breaker import Breaker
from gpu_worker.coordinator import Coordinator
from gpu_worker.hands import Hands
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.receiver import Receiver
from gpu_worker.shutdown import Shutdown

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_LEAVING_SECONDS = 2.0
"""Of the time to end, what is kept for handing back."""
_OVERDUE_SECONDS = 1.0
"""Beyond that time, for calls that a dependency keeps hanging."""


class Ending(StrEnum):
    """Why the worker ended."""

    IDLE = "idle"
    ASKED = "asked to end"
    RESCUED = "claim taken back"
    """Nothing is held or received, and nobody wants the worker to end any more."""


class Follower(Protocol):
    """What the worker needs of the gallery's copy."""

    def follow(self) -> None: ...


@dataclass(frozen=True)
class Pace:
    """How long things take.

    Attributes
    ----------
    idle_seconds : the worker ends when it had nothing to do for so long.
    drain_seconds : from being asked to end until everything is finished or handed back.
    metrics_seconds : between two flushes of the metrics.
    """

    idle_seconds: float
    drain_seconds: float
    metrics_seconds: float


class Worker:
    """Works off the req-queue until it is idle or asked to end.

    Parameters
    ----------
    database : breaker of the database.
    background : run in threads of their own until the worker is asked to end.
    flush : writes the metrics.
    kept : whether the worker stays though it is idle.
    on_ready : called before the first receive.
    rescued : called when asked to end and done; True where the worker is to go on after all.
    clock : monotonic seconds.
    """

    def __init__(
        self,
        hands: Hands,
        heartbeat: Heartbeat,
        coordinator: Coordinator,
        receivers: Sequence[Receiver],
        index: Follower,
        database: Breaker,
        shutdown: Shutdown,
        pace: Pace,
        *,
        background: Sequence[Callable[[], None]] = (),
        flush: Callable[[], None] = lambda: None,
        kept: Callable[[], bool] = lambda: False,
        on_ready: Callable[[], object] = lambda: None,
        rescued: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hands = hands
        self._heartbeat = heartbeat
        self._coordinator = coordinator
        self._receivers = receivers
        self._index = index
        self._database = database
        self._shutdown = shutdown
        self._pace = pace
        self._background = background
        self._flush = flush
        self._kept = kept
        self._on_ready = on_ready
        self._rescued = rescued
        self._clock = clock
        self._stop = threading.Event()

    def run(self) -> Ending:
        """Work; return why it ended."""
        with self._heartbeat.running():
            for task in self._background:
                threading.Thread(target=task, name="background", daemon=True).start()
            # Nothing is received before the gallery could be read.
            ending = self._until_followed()
            if ending is None:
                make_room()  # of what the start needed: compilers, for one
                self._on_ready()
                self._coordinator.start()
                for receiver in self._receivers:
                    threading.Thread(
                        target=receiver.run, args=(self._stop,), name="receive", daemon=True
                    ).start()
                ending = self._until_ended()
            self._end_in_time()
        if ending is Ending.ASKED and self._rescued():
            return Ending.RESCUED
        return ending

    def _until_followed(self) -> Ending | None:
        while not self._shutdown.requested:
            if self._hands.idle_seconds >= self._pace.idle_seconds:
                return Ending.IDLE
            if self._database.admit():
                try:
                    with self._database.watched():
                        self._index.follow()
                except TransientError as error:
                    log.warning("the gallery cannot be read: %s", error.detail)
                else:
                    return None
            self._shutdown.wait(min(_TICK_SECONDS, max(0.05, self._database.due_seconds)))
        return Ending.ASKED

    def _until_ended(self) -> Ending:
        flushed = self._clock()
        while not self._shutdown.wait(_TICK_SECONDS):
            if self._clock() - flushed >= self._pace.metrics_seconds:
                flushed = self._clock()
                self._flush()
            if self._hands.idle_seconds < self._pace.idle_seconds or self._kept():
                continue
            # A message may come with the receives that are still under way.
            self._hands.pause()
            if self._hands.wait_for_receives(60) and self._hands.count == 0:
                return Ending.IDLE
            self._hands.resume()
        return Ending.ASKED

    def _end_in_time(self) -> None:
        """End, though a dependency that hangs may hold up every call for minutes."""
        leaving = threading.Thread(target=self._end, name="end", daemon=True)
        leaving.start()
        leaving.join(self._pace.drain_seconds + _OVERDUE_SECONDS)
        if leaving.is_alive():
            log.warning("left in a hurry: what is in hand reappears after its timeout only")

    def _end(self) -> None:
        """Finish what was begun, hand back the rest, within the time for it."""
        deadline = self._clock() + self._pace.drain_seconds
        self._stop.set()
        self._hands.close()
        self._hands.recalled(self._coordinator.hurry())
        self._hands.wait_for_tasks(deadline - _LEAVING_SECONDS - self._clock())
        # Also what a receive brings that was under way; a long poll may outlast us.
        self._hands.wait_for_receives(max(0.0, deadline - _LEAVING_SECONDS - self._clock()))
        left = self._hands.give_back_all()
        if left:
            log.warning("handed back unfinished", extra={"messages": left})
        self._coordinator.close(max(0.1, deadline - self._clock()))
        self._flush()
