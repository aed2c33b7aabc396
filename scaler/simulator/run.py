"""One rule on one trace, from the first photo until the last instance is gone."""

import math
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scaler.simulator.ours import CONFIGS, Ours
from scaler.simulator.rivals import Controller, Fixed, Keda, Plain, TargetTracking
from scaler.simulator.traces import Trace
from scaler.simulator.world import World

# What still waits so long after a trace's end is taken as never done.
_PATIENCE = 24 * 3600.0

RULES: dict[str, Callable[[Trace], Controller]] = {
    **{
        name: lambda trace, config=config: Ours(trace, config(trace))  # type: ignore[misc]
        for name, config in CONFIGS.items()
    },
    "plain": lambda trace: Plain(trace.limits),
    "keda": lambda trace: Keda(trace.limits),
    "target-tracking": lambda trace: TargetTracking(trace.limits),
    "fixed": Fixed,
}


@dataclass
class History:
    """What was seen at each tick; seconds, counts and dollars."""

    at: "array[float]" = field(default_factory=lambda: array("d"))
    visible: "array[float]" = field(default_factory=lambda: array("d"))
    ready: "array[float]" = field(default_factory=lambda: array("d"))
    existing: "array[float]" = field(default_factory=lambda: array("d"))
    cost: "array[float]" = field(default_factory=lambda: array("d"))

    def note(self, world: World) -> None:
        self.at.append(world.now)
        self.visible.append(world.visible)
        self.ready.append(sum(1 for worker in world.workers if worker.ready_at <= world.now))
        self.existing.append(len(world.workers))
        self.cost.append(world.cost)


@dataclass(frozen=True)
class Result:
    """How a rule did on a trace.

    Attributes
    ----------
    waits : seconds from each photo's arrival to its result; NaN for one never done.
    cost : dollars.
    peak : most instances that existed at once.
    wasted : launches that never took a photo; `killed` photos were taken from a worker.
    bound : what the cheapest fleet would cost that knows every arrival and has the same
        p95; NaN where it was not worked out.
    seconds : of the processor that the simulation took.
    """

    trace: Trace
    rule: str
    waits: npt.NDArray[np.float64]
    cost: float
    instance_hours: float
    peak: int
    launches: int
    wasted: int
    killed: int
    history: History
    seconds: float
    bound: float = math.nan

    def wait(self, percent: float) -> float:
        """Return a percentile of the waits; a photo never done waited for ever."""
        if not len(self.waits):
            return 0.0
        waits = np.where(np.isnan(self.waits), np.inf, self.waits)
        return float(np.percentile(waits, percent, method="higher"))

    @property
    def lost(self) -> int:
        """Photos never done."""
        return int(np.isnan(self.waits).sum())


def simulate(
    trace: Trace, rule: str | Callable[[Trace], Controller], seed: int = 0, note_every: float = 60.0
) -> Result:
    """Run a rule on a trace.

    The fleet is paid for until the trace is over, every photo is done and, where the rule
    gives its instances up at all, the last one is gone.

    Raises
    ------
    KeyError
        No rule has this name.
    """
    name, make = (rule, RULES[rule]) if isinstance(rule, str) else ("custom", rule)
    began = time.process_time()
    controller = make(trace)
    world = World(trace, seed, controller.idle)
    history = History()
    noted = -math.inf
    last = trace.horizon + _PATIENCE
    grace = trace.horizon
    while world.now < last:
        if world.now >= trace.horizon and world.done:
            grace = max(grace, trace.horizon)
            if not world.workers or world.now >= grace + 900:
                break
        elif world.now >= trace.horizon:
            grace = world.now
        controller.tick(world)
        if world.now - noted >= note_every:
            noted = world.now
            history.note(world)
        world.run_until(world.now + controller.period)
    history.note(world)
    finished = np.frombuffer(world.finished, dtype=np.float64)
    arrivals = np.frombuffer(trace.arrivals, dtype=np.float64)
    return Result(
        trace=trace,
        rule=name,
        waits=finished - arrivals,
        cost=world.cost,
        instance_hours=world.instance_seconds / 3600,
        peak=world.most,
        launches=world.launched,
        wasted=world.wasted + sum(1 for worker in world.workers if worker.holding < 0),
        killed=world.killed_busy,
        history=history,
        seconds=time.process_time() - began,
    )
