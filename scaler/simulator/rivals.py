"""The rules that ours is compared with, as their sources describe them.

All of them see exact counts, keep to the same limits, and get what helps them where their
source leaves it open; each class says where.
"""

import math
from collections import deque
from typing import Protocol

from scaler.simulator.traces import Limits, Trace
from scaler.simulator.world import WORKER_IDLE, Worker, World


class Controller(Protocol):
    """Looks at a world every `period` seconds and changes its fleet.

    Attributes
    ----------
    idle : its workers end themselves when they had nothing to do for so long.
    """

    period: float
    idle: float

    def tick(self, world: World) -> None: ...


class Fixed:
    """So many workers from the start to the end; one that dies is replaced.

    They are as many as the busiest ten minutes of the trace need, and a fifth more, which
    somebody would have to know beforehand.
    """

    period = 60.0
    idle = math.inf

    def __init__(self, trace: Trace) -> None:
        self._count = min(trace.limits.max_instances, math.ceil(1.2 * busiest(trace)))

    def tick(self, world: World) -> None:
        missing = self._count - len(world.workers)
        if missing > 0:
            world.launch(missing)


def busiest(trace: Trace, window: float = 600.0) -> float:
    """Return the workers that the busiest `window` seconds of a trace keep busy."""
    work = [0.0] * (int(trace.horizon // window) + 1)
    for at, seconds in zip(trace.arrivals, trace.work, strict=True):
        work[int(at // window)] += seconds
    return max(work) / window


class Plain:
    """The seeds' rule, without look-ahead: ceil(visible / 5), every 5 s, 5 launches at once.

    Running and pending instances count, from one pool. With nothing visible every
    instance that is older than 300 s is terminated, whether it works or not, and each
    worker ends itself after five idle minutes.
    """

    period = 5.0
    idle = WORKER_IDLE
    min_runtime = 300.0

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def tick(self, world: World) -> None:
        limits, visible = self._limits, world.visible
        if visible == 0:
            for worker in list(world.workers):
                if world.now - worker.launched_at >= self.min_runtime:
                    world.end(worker)
            return
        wanted = math.ceil(visible / limits.messages_per_instance)
        missing = min(limits.max_instances, wanted) - len(world.workers)
        if missing > 0:
            world.launch(min(limits.launch_batch, missing), pools=(0,))


class Keda:
    """KEDA's SQS scaler and the autoscaler (HPA) behind it, a pod an instance.

    The scaler reports visible + in flight (its default) when it is polled, every 30 s, and
    activates from 0 to 1 above 0; 300 s after it was last active it goes to 0. In between
    the HPA, every 15 s, takes ceil(total / 5), lets a deviation of 10 % be, at most
    doubles or adds four in a step, and takes the highest value of the last 300 s before it
    scales in. A pod that is given up finishes its photo, as a grace period allows it to.
    """

    period = 15.0
    idle = math.inf
    polling = 30.0
    cooldown = 300.0
    tolerance = 0.1
    stabilisation = 300.0

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._polled_at = -math.inf
        self._total = 0
        self._active_at = -math.inf
        self._wanted: deque[tuple[float, int]] = deque()
        self._ending: list[Worker] = []

    def tick(self, world: World) -> None:
        now, limits = world.now, self._limits
        self._ending = end_finished(world, self._ending)
        if now - self._polled_at >= self.polling:
            self._polled_at = now
            self._total = world.visible + world.in_flight
            if self._total:
                self._active_at = now
        pods = [worker for worker in world.workers if worker.serving]
        count = len(pods)
        if now - self._active_at > self.cooldown:
            self._shrink(world, pods, 0)
            return
        if count == 0:
            if self._total:
                world.launch(1)
            return
        wanted = math.ceil(self._total / limits.messages_per_instance)
        if abs(self._total / (limits.messages_per_instance * count) - 1) <= self.tolerance:
            wanted = count
        wanted = max(1, min(limits.max_instances, wanted))
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - self.stabilisation:
            self._wanted.popleft()
        if wanted > count:
            most = max(2 * count, count + 4)
            room = limits.max_instances - len(world.workers)
            more = min(min(wanted, most) - count, room)
            if more > 0:
                world.launch(more)
        else:
            self._shrink(world, pods, min(count, max(each for _, each in self._wanted)))

    def _shrink(self, world: World, pods: list[Worker], count: int) -> None:
        self._ending += give_up(world, pods, len(pods) - count)


class TargetTracking:
    """EC2 Auto Scaling with target tracking on the backlog per instance (AWS's guide).

    The metric, visible messages for each instance in service, is published every minute.
    Above the target in 3 of 3 minutes the group grows in proportion; below nine tenths of
    it in 15 of 15 minutes it shrinks in proportion. An instance that warms up adds no
    capacity to the metric and is not launched a second time. The least capacity is 1: with
    none the metric has no value. A lifecycle hook lets an instance that is given up finish
    its photo.
    """

    period = 60.0
    idle = math.inf
    minutes_out = 3
    minutes_in = 15

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._metric: deque[float] = deque(maxlen=self.minutes_in)
        self._ending: list[Worker] = []

    def tick(self, world: World) -> None:
        now, limits = world.now, self._limits
        self._ending = end_finished(world, self._ending)
        group = [worker for worker in world.workers if worker.serving]
        if not group:
            world.launch(1)
            return
        in_service = [worker for worker in group if worker.ready_at <= now]
        target = float(limits.messages_per_instance)
        metric = world.visible / max(1, len(in_service))
        self._metric.append(metric)
        recent = list(self._metric)
        if len(recent) >= self.minutes_out and min(recent[-self.minutes_out :]) > target:
            wanted = math.ceil(max(1, len(in_service)) * metric / target)
            room = limits.max_instances - len(world.workers)
            more = min(wanted - len(group), room)
            if more > 0:
                world.launch(more)
        elif len(recent) == self.minutes_in and max(recent) < 0.9 * target:
            wanted = max(1, math.ceil(len(group) * max(recent) / target))
            if wanted < len(group):
                self._ending += give_up(world, group, len(group) - wanted)
                self._metric.clear()


def give_up(world: World, workers: list[Worker], count: int) -> list[Worker]:
    """Claim the oldest workers; return them."""
    chosen = sorted(workers, key=lambda worker: worker.launched_at)[: max(0, count)]
    for worker in chosen:
        world.claim(worker)
    return chosen


def end_finished(world: World, ending: list[Worker]) -> list[Worker]:
    """End the claimed workers that hold nothing any more; return the others."""
    left = []
    for worker in ending:
        if not math.isinf(worker.ended_at):
            continue
        if worker.holding >= 0 and worker.free_at > world.now:
            left.append(worker)
        else:
            world.end(worker, max(worker.free_at, world.now - 60) if worker.holding >= 0 else None)
    return left
