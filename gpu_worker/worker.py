"""The loop: receive, work off, hand back what cannot be done, end in order."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from faces.contracts.errors import TransientError
from faces.contracts.jobs import JobMessage
from faces.contracts.results import JobResult
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.logs import log_scope
from gpu_worker.queue import JobQueue, MalformedMessageError, Received
from gpu_worker.shutdown import Shutdown

log = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 10
_LAST_RETRY_SECONDS = 300
_LONGEST_PAUSE_SECONDS = 30


class Ending(StrEnum):
    """Why the worker ended."""

    IDLE = "idle"
    ASKED = "asked to end"


class Runner(Protocol):
    """What the loop needs of `jobs.JobRunner`."""

    def run(self, message: JobMessage, *, redelivered: bool) -> JobResult: ...


class Follower(Protocol):
    """What the loop needs of `index.GalleryIndex`."""

    def follow(self) -> None: ...


@dataclass(frozen=True)
class Pace:
    """How the loop takes its work.

    Attributes
    ----------
    batch : messages of one receive.
    poll_seconds : the longest wait of one receive.
    idle_seconds : the worker ends when it received nothing for so long.
    """

    batch: int
    poll_seconds: int
    idle_seconds: float


def retry_delay(receive_count: int) -> int:
    """Return after how many seconds a message that failed is tried again.

    10, 20, 40, ... at most 300: five deliveries, after which a message goes to the
    dead-letter queue, so outlast an outage of two and a half minutes.
    """
    return min(_LAST_RETRY_SECONDS, _FIRST_RETRY_SECONDS << min(receive_count - 1, 10))


class Worker:
    """Works off the req-queue until it is idle or asked to end.

    While something that the jobs need is away, it receives nothing, in growing pauses:
    each receive counts towards the dead-letter queue.

    Parameters
    ----------
    clock : monotonic seconds.
    """

    def __init__(
        self,
        queue: JobQueue,
        runner: Runner,
        index: Follower,
        heartbeat: Heartbeat,
        shutdown: Shutdown,
        pace: Pace,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._index = index
        self._heartbeat = heartbeat
        self._shutdown = shutdown
        self._pace = pace
        self._clock = clock
        self._failures = 0

    def run(self) -> Ending:
        """Work; return why it ended."""
        last_work = self._clock()
        self._follow()
        with self._heartbeat.running():
            while not self._shutdown.requested:
                left = self._pace.idle_seconds - (self._clock() - last_work)
                if left <= 0:
                    return Ending.IDLE
                if self._failures and not self._recovered():
                    continue
                messages = self._receive(min(self._pace.poll_seconds, math.ceil(left)))
                if messages:
                    self._work_off(messages)
                    last_work = self._clock()
        return Ending.ASKED

    def _receive(self, wait_seconds: int) -> list[Received]:
        try:
            return self._queue.receive(self._pace.batch, wait_seconds)
        except TransientError as error:
            self._failed(error)
            return []

    def _recovered(self) -> bool:
        """Wait a little, then see whether the database answers again."""
        self._shutdown.wait(min(_LONGEST_PAUSE_SECONDS, 1 << min(self._failures - 1, 10)))
        return not self._shutdown.requested and self._follow()

    def _follow(self) -> bool:
        try:
            self._index.follow()
        except TransientError as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: TransientError) -> None:
        self._failures += 1
        log.warning("something is away: %s", error.detail, extra={"failures": self._failures})

    def _work_off(self, messages: Sequence[Received]) -> None:
        self._heartbeat.hold(messages)
        following = self._follow()
        for number, message in enumerate(messages):
            if self._shutdown.requested:
                for rest in messages[number:]:
                    self._release(rest, 0)
                log.info("handed back", extra={"messages": len(messages) - number})
                return
            if following:
                self._work_on(message)
            else:
                self._release(message, retry_delay(message.receive_count))

    def _work_on(self, message: Received) -> None:
        try:
            job = message.job()
        except MalformedMessageError as error:
            # Nobody waits for it; after the last delivery it is kept as a dead letter.
            log.error("malformed message %s: %s", message.message_id, error)
            self._release(message, 0)
            return
        with log_scope(job_id=job.job_id, request_id=job.trace_id):
            try:
                self._runner.run(job, redelivered=message.redelivered)
            except TransientError as error:
                self._failed(error)
                self._release(message, retry_delay(message.receive_count))
            except Exception:
                # A defect of ours, or a photo that breaks a library. Other workers may
                # do better; if none does, the dead letter is answered as failed.
                log.exception("the job failed unexpectedly")
                self._release(message, retry_delay(message.receive_count))
            else:
                self._failures = 0
                self._delete(message)

    def _release(self, message: Received, delay_seconds: int) -> None:
        self._heartbeat.drop(message)
        try:
            self._queue.release(message, delay_seconds)
        except TransientError as error:
            log.warning("message reappears after its timeout only: %s", error.detail)

    def _delete(self, message: Received) -> None:
        self._heartbeat.drop(message)
        try:
            self._queue.delete(message)
        except TransientError as error:
            log.warning("message comes again, harmlessly: %s", error.detail)
