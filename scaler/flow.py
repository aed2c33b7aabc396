"""The rule `flow`: the latency target for bursts, and a fleet as large as its load otherwise.

The rule `latency` launches when a target would be missed, which in a steady flow is late
and then much at once. This one also keeps a running mean of the load L: how many workers
the messages keep busy, growth of the backlog included. With W seconds of work waiting and
R workers ready it wants

    need = L + W / target + max(0, W - 20 R) / 20

workers: the load, what the target leaves time for, and, when more than 20 s of work wait
for each worker, enough to be through with that soon. A fleet between `need - 0.8` and
`need` is left as it is, so the fleet is kept busy and seldom changed. What is overdue
keeps everybody, and what `latency` would launch is launched.
"""

import math

from scaler.model import Backlog, Fleet, FleetConfig, Reason
from scaler.rules import latency_rule, measured_rate
from scaler.state import ControllerState

# Over which the load is averaged, in seconds.
_LOAD_SECONDS = 120.0
# Workers by which the need may exceed the fleet before it grows.
_LAUNCH_ABOVE = 0.8
# Of the load, without a message left: so little keeps no worker.
_IDLE_LOAD = 0.5
# Seconds of work that may wait for each worker, and within which what is above it is done.
_QUEUE_SECONDS = 20.0


def flow_rule(
    backlog: Backlog,
    fleet: Fleet,
    unseen: int,
    state: ControllerState,
    oldest_age: float | None,
    config: FleetConfig,
    now: float,
) -> tuple[int, list[Reason]]:
    """Return how many workers the flow and the latency target need.

    Parameters
    ----------
    backlog : as far as it is confirmed.
    unseen : launched workers that are not in `fleet` yet.
    oldest_age : seconds, None when nothing waits or nothing is known.
    """
    if not backlog.total:
        return max(0, math.ceil(state.load - _IDLE_LOAD)), []
    ready = len(fleet.ready)
    capacity = ready + len(fleet.booting) + unseen
    in_time, reasons = latency_rule(backlog.total, fleet, unseen, state, oldest_age, config, now)
    rate = measured_rate(state, config)
    work = backlog.visible / rate
    need = state.load + work / config.latency_target
    need += max(0.0, work - ready * _QUEUE_SECONDS) / _QUEUE_SECONDS
    kept = capacity if _overdue(backlog, ready, rate, state, config, now) else math.ceil(need)
    return max(1, in_time, math.ceil(need - _LAUNCH_ABOVE), min(capacity, kept)), reasons


def load(
    state: ControllerState, backlog: Backlog, fleet: Fleet, elapsed: float, config: FleetConfig
) -> float:
    """Return the running mean of how many workers the messages keep busy.

    One reading says how many are busy, and how many more there would have to be for the
    backlog not to grow; SQS does not tell what arrived. `state` is the earlier one.
    """
    if not elapsed:
        return state.load
    growth = (backlog.total - state.level) / elapsed / measured_rate(state, config)
    busy = min(len(fleet.ready), backlog.in_flight)
    # A burst is no flow.
    seen = min(busy + growth, 2.0 * config.max_instances)
    weight = 1 - math.exp(-elapsed / _LOAD_SECONDS)
    return max(0.0, state.load + weight * (seen - state.load))


def _overdue(
    backlog: Backlog,
    ready: int,
    rate: float,
    state: ControllerState,
    config: FleetConfig,
    now: float,
) -> bool:
    """Whether something seems to wait for longer than the target."""
    return any(
        min(backlog.total, level - rate * ready * (now - at)) > ready
        for at, level in state.samples
        if now - at >= config.latency_target
    )
