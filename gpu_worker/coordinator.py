"""Runs the stages in their threads and carries tasks from one to the next.

What keeps tasks apart: a batch that fails is worked on again one by one, so that only the
task at fault pays. What keeps the queue intact: while a dependency is away its tasks wait
in hand, where no receive is counted, as long as they may be held.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from faces.contracts.errors import FacesError, TransientError
from gpu_worker.inbox import Inbox
from gpu_worker.logs import log_scope
from gpu_worker.protocol import Stage, Task, retry_delay

log = logging.getLogger(__name__)

BROKEN_AFTER = 8
"""Photos in a row that fail in a vital stage: as a GPU's after its first fault, all of them do."""

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_LOOK_SECONDS = 0.5
"""How often who waits for a dependency looks whether its tasks may still be held."""


class Custody(Protocol):
    """Who answers for the tasks in hand."""

    def ours(self, task: Task) -> bool:
        """Whether the task may still be held."""

    def progress(self) -> None:
        """Something moved, if only a try: the worker does not hang."""

    def ended(self, task: Task) -> None:
        """The task is through, or to be handed back."""


class Meter(Protocol):
    """Who measures the stages."""

    def stage(self, name: str, seconds: float, tasks: int) -> None: ...


class Coordinator:
    """The pipeline.

    Parameters
    ----------
    stages : in order.
    on_broken : called with the name of a vital stage that fails for every photo.
    clock : seconds that only grow.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        custody: Custody,
        meter: Meter,
        *,
        on_broken: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._stages = list(stages)
        self._on_broken = on_broken
        self._failures = {stage.name: 0 for stage in stages}
        self._custody = custody
        self._meter = meter
        self._clock = clock
        self._inboxes = [Inbox[Task](stage.capacity, stage.weigh) for stage in stages]
        self._inside = [0] * len(self._stages)
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._run, args=(number,), name=f"{stage.name}-{copy}", daemon=True
            )
            for number, stage in enumerate(self._stages)
            for copy in range(stage.threads)
        ]

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task) -> None:
        """Put a task before the first stage, waiting for room."""
        self._forward(task, 0)

    def hurry(self) -> list[Task]:
        """Begin to end: wait for nothing that is away; return what was not begun."""
        self._hurry.set()
        recalled = []
        for number, stage in enumerate(self._stages):
            if stage.recallable:
                for task in self._inboxes[number].take_back():
                    self._leave(number)
                    recalled.append(task)
        return recalled

    def close(self, seconds: float) -> bool:
        """Stop all threads; return whether they ended within so many seconds."""
        self._hurry.set()
        for inbox in self._inboxes:
            inbox.close()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, number: int) -> None:
        stage, inbox = self._stages[number], self._inboxes[number]
        while tasks := inbox.take(
            stage.batch, stage.linger_seconds, lambda: self._more_to_come(number)
        ):
            self._work(stage, tasks)
            for task in tasks:
                self._leave(number)
                self._forward(task, number + 1)

    def _forward(self, task: Task, first: int) -> None:
        """Put a task before the next stage that wants it, or end it."""
        if task.retry_seconds is None:
            for number in range(first, len(self._stages)):
                if self._stages[number].wants(task):
                    with self._lock:
                        self._inside[number] += 1
                    if not self._inboxes[number].put(task):
                        self._leave(number)  # closed: the custodian has taken it back
                    return
        task.drop_photo()
        self._custody.ended(task)

    def _leave(self, number: int) -> None:
        with self._lock:
            self._inside[number] -= 1
        for inbox in self._inboxes[number + 1 :]:
            inbox.poke()

    def _more_to_come(self, number: int) -> bool:
        with self._lock:
            return any(self._inside[:number])

    def _work(self, stage: Stage, tasks: Sequence[Task]) -> None:
        try:
            with log_scope(**_scope(tasks)):
                self._patiently(stage, tasks)
        except TransientError:
            for task in tasks:
                task.hand_back(retry_delay(task.message.receive_count))
        except Exception as error:
            if len(tasks) > 1:
                log.warning("a batch failed in %s; one by one: %r", stage.name, error)
                for task in tasks:
                    self._work(stage, [task])
                return
            [task] = tasks
            if isinstance(error, FacesError):
                task.fail(error)
                return
            # A defect of ours, or a photo that breaks a library. Other workers may do
            # better; if none does, the dead letter is answered as failed.
            with log_scope(**_scope(tasks)):
                log.exception("the job failed unexpectedly in %s", stage.name)
            task.hand_back(retry_delay(task.message.receive_count), at_fault=True)
            self._failures[stage.name] += 1
            if stage.vital and self._failures[stage.name] == BROKEN_AFTER:
                log.error("%s failed for %d photos in a row", stage.name, BROKEN_AFTER)
                self._on_broken(stage.name)

    def _patiently(self, stage: Stage, tasks: Sequence[Task]) -> None:
        """Do the step; while its dependency is away, again and again."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            if stage.needs is not None and not stage.needs.admit():
                self._wait(max(stage.needs.due_seconds, 0.01), tasks)
                continue
            started = self._clock()
            try:
                if stage.needs is None:
                    stage.step(tasks)
                else:
                    with stage.needs.watched():
                        stage.step(tasks)
            except TransientError as error:
                log.warning("%s is tried again: %s", stage.name, error.detail)
                self._wait(pause, tasks)
                pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)
                continue
            finally:
                seconds = self._clock() - started
                self._custody.progress()
            self._failures[stage.name] = 0
            self._meter.stage(stage.name, seconds, len(tasks))
            if stage.timed_as is not None:
                for task in tasks:
                    task.timings.add(stage.timed_as, seconds)
            return

    def _wait(self, seconds: float, tasks: Sequence[Task]) -> None:
        """Sleep while the tasks may be held; TransientError as soon as they may not."""
        deadline = time.monotonic() + seconds
        while True:
            self._custody.progress()
            if self._hurry.is_set() or not all(self._custody.ours(task) for task in tasks):
                raise TransientError("a dependency is away for too long")
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._hurry.wait(min(left, _LOOK_SECONDS))


def _scope(tasks: Sequence[Task]) -> dict[str, str | None]:
    if len(tasks) == 1:
        return {"job_id": tasks[0].job.job_id, "request_id": tasks[0].job.trace_id}
    return {"job_ids": ",".join(task.job.job_id for task in tasks)}
