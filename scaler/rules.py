"""How many workers are wanted, before any limit; `flow` is in `scaler.flow`.

`given`, the default: one worker for each five messages, waiting or in flight.

`latency`: as many as needed for every message to be done within a target T of its
arrival, from the measured boot time b and throughput r of one worker. Each remembered
backlog W(s) of the moment s says how much work is at least as old as `now - s`: of it,
about W(s) less what the fleet did since then is left, and it is due at s + T. The fleet
can do by then

    r * (ready * h + sum over booting of max(0, h - rest of its boot) + n * max(0, h - b))

messages, with h = s + T - now. The rule takes the least number n of further workers for
which that is enough at every s whose due time a new worker can still help to meet. For
s = now this is n = (backlog / r - ready * T) / (T - b): in a steady flow a fleet that is
always busy, and waits close to T. The age of the oldest message shifts every s that lies
before its arrival: nothing that is older waits any more.
"""

import math

from scaler.model import Fleet, FleetConfig, Reason
from scaler.state import ControllerState

# Of the target: readings are approximate, and a message is taken with up to nine others.
_AIM = 0.85


def given_rule(backlog: int, config: FleetConfig) -> int:
    """Return ceil(backlog / messages an instance)."""
    return math.ceil(backlog / config.messages_per_instance)


def latency_rule(
    backlog: int,
    fleet: Fleet,
    unseen: int,
    state: ControllerState,
    oldest_age: float | None,
    config: FleetConfig,
    now: float,
) -> tuple[int, list[Reason]]:
    """Return how many workers the latency target needs.

    Parameters
    ----------
    unseen : launched workers that are not in `fleet` yet; they begin their boot.
    oldest_age : seconds, None when nothing waits or nothing is known.
    """
    if backlog == 0:
        return 0, []
    reasons: list[Reason] = []
    rate, boot = measured_rate(state, config), measured_boot(state, config)
    target = config.latency_target * _AIM
    if target <= boot * 1.1:
        # No launch could ever be in time; the best is to be done soon after the boot.
        target = 2 * boot
        reasons.append(Reason.TARGET_BELOW_BOOT_TIME)
    ready = len(fleet.ready)
    rests = [max(0.0, boot - (now - each.launched_at)) for each in fleet.booting]
    rests += [boot] * unseen
    coming = len(rests)

    more = _missing(backlog, target, ready, rests, rate, boot)
    fewest = _enough(backlog, target, ready, rests, rate)
    oldest = now - oldest_age if oldest_age is not None else now - target
    for at, level in state.samples:
        horizon = at + target - now
        if at < oldest or horizon <= boot * 1.1:
            continue
        left = min(backlog, level - rate * ready * (now - at))
        more = max(more, _missing(left, horizon, ready, rests, rate, boot))
        fewest = max(fewest, _enough(left, horizon, ready, rests, rate))
    wanted = ready + coming + more if more else fewest
    return max(1, wanted), reasons


def measured_rate(state: ControllerState, config: FleetConfig) -> float:
    """Return messages a second of one busy worker."""
    return state.throughput or config.initial_throughput


def measured_boot(state: ControllerState, config: FleetConfig) -> float:
    """Return seconds from launch to the first message."""
    return state.boot_seconds or config.initial_boot_seconds


def _missing(
    work: float, horizon: float, ready: int, rests: list[float], rate: float, boot: float
) -> int:
    done = ready * horizon + sum(max(0.0, horizon - rest) for rest in rests)
    short = work / rate - done
    return max(0, math.ceil(short / (horizon - boot) - 1e-9)) if short > 0 else 0


def _enough(work: float, horizon: float, ready: int, rests: list[float], rate: float) -> int:
    """Return how many of the workers that are there suffice, the readiest first."""
    seconds = max(0.0, work) / rate
    number = math.ceil(seconds / horizon - 1e-9)
    if number <= ready:
        return number
    seconds -= ready * horizon
    for number, rest in enumerate(rests, start=ready + 1):
        seconds -= max(0.0, horizon - rest)
        if seconds <= 1e-9:
            return number
    return ready + len(rests)
