"""How many photos are in hand, and which may be in hand together.

A photo that was delivered before may be one that kills the process. Each photo in hand
when it does so loses one of its deliveries, so such a suspect is worked on alone, and after
one was met (and at the start of a process, whose predecessor may just have died) messages
are received one at a time, until one comes that was never delivered before. From then on
each such receive doubles what may be in hand: where processes die often, few suspects wait
in the hands of one that is about to.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from faces.contracts.errors import TransientError
from gpu_worker.attempts import Attempts
from gpu_worker.breaker import Breaker, State
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.protocol import Task
from gpu_worker.queue import JobQueue, Received

log = logging.getLogger(__name__)

TRIAL = 2
"""Photos in hand while a dependency is away: one could be at fault itself, two are not."""

_LOOK_SECONDS = 0.25


class Hands:
    """Counts what is in hand, and gives it back to the queue.

    Parameters
    ----------
    most : photos in hand at once.
    breakers : while one of them is not closed, hardly anything is received.
    attempts : records which suspects were begun.
    on_end : called with each task that is through or handed back.
    clock : monotonic seconds.
    """

    def __init__(
        self,
        queue: JobQueue,
        heartbeat: Heartbeat,
        most: int,
        breakers: Sequence[Breaker],
        attempts: Attempts,
        *,
        on_end: Callable[[Task], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._heartbeat = heartbeat
        self._most = most
        self._breakers = breakers
        self._attempts = attempts
        self._on_end = on_end
        self._clock = clock
        self._held: dict[str, Received] = {}
        self._reserved = 0
        self._working = 0
        self._trusted = 1
        self._paused = False
        self._closed = False
        self._last_activity = clock()
        self._changed = threading.Condition()
        self._gate = threading.Lock()

    @property
    def idle_seconds(self) -> float:
        """For how long nothing came and nothing was in hand."""
        with self._changed:
            return 0.0 if self._held else self._clock() - self._last_activity

    @property
    def count(self) -> int:
        """How many messages are in hand."""
        return len(self._held)

    @contextmanager
    def reserve(self, want: int) -> Iterator[int]:
        """Make room for a receive; hand out for how many messages, 0 when not now.

        Waits a moment for room. `keep` is called inside the block.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._room(want) > 0, _LOOK_SECONDS)
            room = self._room(want)
            self._reserved += room
        try:
            yield room
        finally:
            with self._changed:
                self._reserved -= room
                self._changed.notify_all()

    def keep(self, messages: Sequence[Received]) -> None:
        """Take received messages in hand."""
        if not messages:
            return
        self._heartbeat.hold(messages)
        with self._changed:
            self._held.update((message.receipt, message) for message in messages)
            suspects = any(message.redelivered for message in messages)
            self._trusted = 1 if suspects else min(self._most, 2 * self._trusted)
            self._last_activity = self._clock()

    def begin(self, task: Task, submit: Callable[[Task], None]) -> bool:
        """Submit a task, a suspect alone; return False, without doing it, once closed."""
        suspect = task.message.redelivered
        with self._gate:
            if suspect:
                self._wait_for_empty_pipeline()
            with self._changed:
                if self._closed:
                    return False
                self._working += 1
            if suspect:
                self._attempts.begun(task)
            submit(task)
            if suspect:
                self._wait_for_empty_pipeline()
        return True

    def pause(self) -> None:
        """Let no receive begin from now on."""
        with self._changed:
            self._paused = True

    def resume(self) -> None:
        """Let receives begin again."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def close(self) -> None:
        """Begin nothing from now on."""
        with self._changed:
            self._paused = self._closed = True
            self._changed.notify_all()

    def wait_for_receives(self, seconds: float) -> bool:
        """Wait until no receive is under way; return whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._reserved == 0, seconds)

    def wait_for_tasks(self, seconds: float) -> bool:
        """Wait until no task is under way; return whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._working == 0, seconds)

    def ours(self, task: Task) -> bool:
        """Whether the task may still be held."""
        return self._heartbeat.holds(task.message)

    def progress(self) -> None:
        """Something moved."""
        self._heartbeat.progress()

    def ended(self, task: Task) -> None:
        """Let go of a task that is through; give it back when it is to be."""
        if task.retry_seconds is not None:
            self.give_back([task.message], 0 if self._closed else task.retry_seconds)
        else:
            self._let_go(task.message)
        self._on_end(task)
        # Before it counts as ended, since the process may be over then.
        if task.message.redelivered and not task.at_fault:
            self._attempts.ended(task)
        with self._changed:
            self._working -= 1
            self._last_activity = self._clock()
            self._changed.notify_all()

    def recalled(self, tasks: Sequence[Task]) -> None:
        """Hand back tasks that were submitted, but not begun."""
        self.give_back([task.message for task in tasks], 0)
        for task in tasks:
            task.hand_back(0)
            self.ended(task)

    def give_back(self, messages: Sequence[Received], delay_seconds: int) -> None:
        """Hand messages back to the queue; they are visible again after the delay."""
        ours = [message for message in messages if self._let_go(message)]
        if not ours:
            return
        self._heartbeat.drop(ours)
        try:
            self._queue.release(ours, delay_seconds)
        except TransientError as error:
            log.warning("messages reappear after their timeout only: %s", error.detail)

    def give_back_all(self) -> int:
        """Hand back everything that is still in hand; return how much that was."""
        with self._changed:
            messages = list(self._held.values())
        self.give_back(messages, 0)
        return len(messages)

    def _let_go(self, message: Received) -> bool:
        with self._changed:
            found = self._held.pop(message.receipt, None) is not None
            self._changed.notify_all()
        return found

    def _room(self, want: int) -> int:
        taken = len(self._held) + self._reserved
        if self._paused:
            return 0
        if self._trusted == 1:
            return 1 if taken == 0 and not self._waiting_for_breaker() else 0
        if any(breaker.state is not State.CLOSED for breaker in self._breakers):
            return 1 if taken < TRIAL and not self._waiting_for_breaker() else 0
        return max(0, min(want, self._trusted - taken))

    def _waiting_for_breaker(self) -> bool:
        return any(breaker.due_seconds > 0 for breaker in self._breakers)

    def _wait_for_empty_pipeline(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._working == 0)
