"""How many workers the backlog wants, and which steps lead there; nothing but arithmetic.

Worked example, with 5 messages an instance, at most 15 instances and 5 launches a tick:
100 messages wait, 8 more are being worked on, 2 workers run and 3 boot.

    backlog  = 100 + 8                     = 108
    desired  = ceil(108 / 5) = 22, at most = 15
    capacity = 2 running + 3 booting       = 5
    launch   = min(15 - 5, 5)              = 5      (the other 5 in the next tick)

Work in flight counts because its workers are busy with it; booting workers count because
they were launched for this very backlog.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class WorkerState(StrEnum):
    """States in which an instance is, or will be, capacity."""

    PENDING = "pending"
    RUNNING = "running"


class Reason(StrEnum):
    """Why a decision is what it is; each clamp has its own."""

    BACKLOG_UNREADABLE = "backlog_unreadable"
    FLEET_UNREADABLE = "fleet_unreadable"
    RAISED_TO_MINIMUM = "raised_to_minimum"
    HELD_TO_MAXIMUM = "held_to_maximum"
    HELD_TO_LAUNCH_BATCH = "held_to_launch_batch"
    STILL_WORKING = "still_working"
    NOT_YET_QUIET = "not_yet_quiet"
    YOUNGER_THAN_MIN_RUNTIME = "younger_than_min_runtime"


@dataclass(frozen=True)
class Backlog:
    """Messages of the req-queue: waiting, and received but not deleted."""

    visible: int
    in_flight: int

    @property
    def total(self) -> int:
        return self.visible + self.in_flight


@dataclass(frozen=True)
class Worker:
    """One instance of the fleet; `launched_at` is aware."""

    instance_id: str
    name: str
    state: WorkerState
    launched_at: datetime


@dataclass(frozen=True)
class Observation:
    """What was seen at one moment.

    Attributes
    ----------
    backlog : None when it could not be read; that is not the same as nothing.
    workers : None when they could not be read.
    quiet_since : since when every reading showed an empty queue; None when the last did not.
    """

    backlog: Backlog | None
    workers: tuple[Worker, ...] | None
    quiet_since: datetime | None = None


@dataclass(frozen=True)
class DecideConfig:
    """The limits of a decision; what they mean is said in `ScalerSettings`."""

    min_instances: int
    max_instances: int
    messages_per_instance: int
    min_runtime: timedelta
    launch_batch: int
    quiet_time: timedelta


@dataclass(frozen=True)
class Decision:
    """What is to be done now.

    Attributes
    ----------
    desired : None when it could not be worked out; then nothing is done.
    launch : how many workers to launch.
    terminate : the instances to end.
    """

    desired: int | None
    launch: int = 0
    terminate: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


def decide(observation: Observation, config: DecideConfig, now: datetime) -> Decision:
    """Return the step that brings the fleet nearer to what the backlog wants."""
    unreadable = []
    if observation.backlog is None:
        unreadable.append(Reason.BACKLOG_UNREADABLE)
    if observation.workers is None:
        unreadable.append(Reason.FLEET_UNREADABLE)
    if observation.backlog is None or observation.workers is None:
        return Decision(desired=None, reasons=tuple(unreadable))

    desired, reasons = desired_workers(observation.backlog, config)
    capacity = len(observation.workers)
    if desired > capacity:
        launch = desired - capacity
        if launch > config.launch_batch:
            launch = config.launch_batch
            reasons.append(Reason.HELD_TO_LAUNCH_BATCH)
        return Decision(desired, launch=launch, reasons=tuple(reasons))
    if desired < capacity:
        terminate, held = _scale_in(observation, observation.workers, desired, config, now)
        return Decision(desired, terminate=terminate, reasons=(*reasons, *held))
    return Decision(desired, reasons=tuple(reasons))


def desired_workers(backlog: Backlog, config: DecideConfig) -> tuple[int, list[Reason]]:
    """Return how many workers a backlog wants, within the limits, and which limit held."""
    wanted = math.ceil(backlog.total / config.messages_per_instance)
    if wanted < config.min_instances:
        return config.min_instances, [Reason.RAISED_TO_MINIMUM]
    if wanted > config.max_instances:
        return config.max_instances, [Reason.HELD_TO_MAXIMUM]
    return wanted, []


def _scale_in(
    observation: Observation,
    workers: tuple[Worker, ...],
    desired: int,
    config: DecideConfig,
    now: datetime,
) -> tuple[tuple[str, ...], list[Reason]]:
    """Return whom to end: the oldest first, none while any worker may be at work.

    Which worker holds a message cannot be seen from outside, so only a queue that stayed
    without any message, in flight included, shows that all are idle.
    """
    if observation.backlog is None or observation.backlog.total > 0:
        return (), [Reason.STILL_WORKING]
    quiet_since = observation.quiet_since
    if quiet_since is None or now - quiet_since < config.quiet_time:
        return (), [Reason.NOT_YET_QUIET]
    surplus = len(workers) - desired
    old_enough = sorted(
        (worker for worker in workers if now - worker.launched_at >= config.min_runtime),
        key=lambda worker: (worker.launched_at, worker.instance_id),
    )
    chosen = tuple(worker.instance_id for worker in old_enough[:surplus])
    return chosen, [] if len(chosen) == surplus else [Reason.YOUNGER_THAN_MIN_RUNTIME]
