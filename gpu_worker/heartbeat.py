"""Keeps messages in hand hidden from other workers, and notices a worker that hangs."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from faces.contracts.errors import TransientError
from gpu_worker.queue import JobQueue, Received

log = logging.getLogger(__name__)

STUCK_SECONDS = 300.0
"""A worker in which nothing moves for so long hangs; the slowest photo takes a tenth of it."""

_LEAVING_SECONDS = 1.0
"""For an extension that is under way at the end; it may hang for minutes."""


class Heartbeat:
    """Extends the visibility timeout of the messages in hand.

    Parameters
    ----------
    hold_seconds : a message is extended no longer than this, then left to the queue.
    on_stuck : called, in the heartbeat's thread, when nothing moved for `stuck_seconds`
        though messages are held; they are no longer extended then, so that others get them.
    clock : monotonic seconds.
    """

    def __init__(
        self,
        queue: JobQueue,
        visibility_seconds: int,
        hold_seconds: float,
        on_stuck: Callable[[], None],
        *,
        stuck_seconds: float = STUCK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._interval = visibility_seconds / 3
        self._hold_seconds = hold_seconds
        self._on_stuck = on_stuck
        self._stuck_seconds = stuck_seconds
        self._clock = clock
        self._held: dict[str, tuple[Received, float]] = {}
        self._progress = clock()
        # Taken for the whole of an extension: one that overtook a release would hide
        # the message again.
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Beat in a thread as long as the `with` block runs."""
        thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(_LEAVING_SECONDS)

    def hold(self, messages: Sequence[Received]) -> None:
        """Extend these messages from now on."""
        with self._lock:
            now = self._clock()
            self._held.update((message.receipt, (message, now)) for message in messages)
            self._progress = now

    def drop(self, messages: Sequence[Received]) -> None:
        """Stop to extend messages; to be called before they are released or deleted."""
        with self._lock:
            for message in messages:
                self._held.pop(message.receipt, None)
            self._progress = self._clock()

    def holds(self, message: Received) -> bool:
        """Whether the message is still ours, and will be for a while."""
        return message.receipt in self._held

    def progress(self) -> None:
        """Note that the worker does not hang."""
        self._progress = self._clock()

    def beat(self) -> None:
        """Extend what is held, once."""
        with self._lock:
            if not self._held:
                return
            stuck = self._clock() - self._progress > self._stuck_seconds
            if not stuck:
                self._extend()
                return
        log.error("nothing moved for %.0f s", self._stuck_seconds)
        self._on_stuck()

    def _extend(self) -> None:
        oldest = self._clock() - self._hold_seconds
        for receipt, (message, since) in list(self._held.items()):
            if since <= oldest:
                log.warning("message %s was held for too long", message.message_id)
                del self._held[receipt]
        try:
            lost = self._queue.extend([message for message, _ in self._held.values()])
        except TransientError as error:
            log.warning("messages were not extended: %s", error.detail)
            return
        for message in lost:
            log.warning("message %s is no longer ours", message.message_id)
            self._held.pop(message.receipt, None)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self.beat()
