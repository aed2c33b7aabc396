"""The rule `flow`: the latency target for bursts, and a fleet as large as its load otherwise.

The rule `latency` launches when a target would be missed, which in a steady flow is late
and then much at once. This one also keeps a running mean of the load L: how many workers
the messages keep busy, growth of the backlog included. With W seconds of work waiting and
R workers ready it wants

    need = L + W / target + max(0, W - 20 R) / 20

workers: the load, what the target leaves time for, and, when more than 20 s of work wait
for each worker, enough to be through with that soon. A fleet between `need - 0.8` and
`need` is left as it is, so the fleet is kept busy and seldom changed, and what `latency`
would launch is launched.

A surge is not waited out: when the backlog grew for 15 s by four standard deviations more
than chance arrivals of the load would make it, the arrivals S of these seconds count
instead, and need is at least S + W / 12. Nor is the end of a burst: a fleet above need is
kept as long as W / 12 of its workers are busy, and no longer, since only the load, not the
queue that passes, may come again within the scale-in window.
"""

import math

from scaler.model import Backlog, Fleet, FleetConfig
from scaler.rules import Situation, Want, latency_rule, measured_rate
from scaler.state import ControllerState


def flow_rule(seen: Situation) -> Want:
    """Return how many workers the flow and the latency target need."""
    flow, load = seen.config.flow, seen.state.load
    if not seen.backlog.total:
        number = max(0, math.ceil(load - flow.idle_load))
        return Want(number, number)
    in_time = latency_rule(seen)
    work = seen.backlog.visible / seen.rate
    need = load + work / seen.config.latency_target
    need += max(0.0, work - seen.ready * flow.queue_seconds) / flow.queue_seconds
    surge = _surge(seen)
    if surge:
        need = max(need, surge + work / flow.tail_seconds)
    kept = math.ceil(max(need, load + work / flow.tail_seconds))
    number = max(1, in_time.number, math.ceil(need - flow.launch_above), min(seen.capacity, kept))
    return Want(number, max(1, math.ceil(load)), in_time.reasons)


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
    weight = 1 - math.exp(-elapsed / config.flow.load_seconds)
    return max(0.0, state.load + weight * (seen - state.load))


def _surge(seen: Situation) -> float:
    """Return the workers that the latest arrivals keep busy, 0 where chance explains them."""
    flow, load = seen.config.flow, seen.state.load
    earlier = [each for each in seen.state.samples if each[0] <= seen.now - flow.surge_seconds]
    if not earlier:
        return 0.0
    at, level = earlier[-1]
    span = seen.now - at
    if span > 2 * flow.surge_seconds:
        return 0.0  # nobody looked in between
    busy = min(seen.ready, seen.backlog.in_flight)
    workers = busy + (seen.backlog.total - level) / span / seen.rate
    # Poisson: L * rate * span messages come in the time, give or take the root of that.
    deviation = math.sqrt((load + 1) / (seen.rate * span))
    return workers if workers > load + 1 + flow.surge_deviations * deviation else 0.0
