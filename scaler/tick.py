"""Looks, decides and acts every few seconds within the minute between two schedules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from scaler.executor import Outcome
from scaler.thin import Backlog, DecideConfig, Decision, Observation, Worker, decide

# The next invocation starts a minute after this one; nothing may still run then.
LAST_START_SECONDS = 50.0
# How long EC2 may take to show a launch ("Eventual consistency", EC2 API reference).
_UNSEEN_TIME = timedelta(seconds=60)


class Acts(Protocol):
    """What the controller needs of an executor."""

    def carry_out(self, decision: Decision, workers: tuple[Worker, ...], now: datetime) -> Outcome:
        """Carry a decision out."""


@dataclass(frozen=True)
class TickRecord:
    """Everything about one tick: what was seen, decided and done."""

    at: datetime
    observation: Observation
    decision: Decision
    outcome: Outcome


@dataclass
class Memory:
    """What is known beyond one tick; lost with the process, which only makes it wait.

    Attributes
    ----------
    quiet_since : since when every reading showed an empty queue.
    launched : own launches that EC2 may not show yet.
    """

    quiet_since: datetime | None = None
    launched: dict[str, Worker] = field(default_factory=dict)

    def note_backlog(self, backlog: Backlog | None, now: datetime) -> None:
        """Follow how long the queue has been empty; an unreadable one is not empty."""
        if backlog is None or backlog.total > 0:
            self.quiet_since = None
        elif self.quiet_since is None:
            self.quiet_since = now

    def with_unseen(self, seen: tuple[Worker, ...], now: datetime) -> tuple[Worker, ...]:
        """Return the workers seen and those launched just now that are not seen yet."""
        ids = {worker.instance_id for worker in seen}
        self.launched = {
            instance_id: worker
            for instance_id, worker in self.launched.items()
            if instance_id not in ids and now - worker.launched_at < _UNSEEN_TIME
        }
        return (*seen, *self.launched.values())


@dataclass(frozen=True)
class Controller:
    """One look, one decision, one act at a time.

    Parameters
    ----------
    read_backlog, read_workers : return None when they cannot read.
    clock : returns the present time (aware).
    tick_seconds : time between two ticks.
    """

    config: DecideConfig
    read_backlog: Callable[[], Backlog | None]
    read_workers: Callable[[], tuple[Worker, ...] | None]
    executor: Acts
    memory: Memory
    clock: Callable[[], datetime]
    tick_seconds: float

    def tick(self) -> TickRecord:
        """Look, decide, act; return the record of it."""
        backlog = self.read_backlog()
        workers = self.read_workers()
        now = self.clock()
        self.memory.note_backlog(backlog, now)
        if workers is not None:
            workers = self.memory.with_unseen(workers, now)
        observation = Observation(backlog, workers, self.memory.quiet_since)
        decision = decide(observation, self.config, now)
        outcome = self.executor.carry_out(decision, workers or (), now)
        self.memory.launched.update({made.instance_id: made for made in outcome.launched})
        return TickRecord(now, observation, decision, outcome)


def run(
    tick: Callable[[], None],
    *,
    ticks: int | None,
    tick_seconds: float,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> int:
    """Call `tick` every `tick_seconds` until the minute is nearly over.

    Parameters
    ----------
    ticks : at most so many; None for as many as fit.
    monotonic : returns seconds that only ever grow.

    Returns
    -------
    int
        How many ticks there were.
    """
    started = monotonic()
    done = 0
    while True:
        tick()
        done += 1
        # Counted from the start, so that the length of a tick does not add up.
        now = monotonic()
        due = max(started + done * tick_seconds, now)
        if (ticks is not None and done >= ticks) or due - started > LAST_START_SECONDS:
            return done
        sleep(due - now)
