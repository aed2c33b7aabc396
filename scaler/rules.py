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
from dataclasses import dataclass

from scaler.model import Backlog, Fleet, FleetConfig, Reason
from scaler.state import ControllerState


@dataclass(frozen=True, slots=True)
class Situation:
    """What a rule looks at.

    Attributes
    ----------
    backlog : as far as it is confirmed.
    unseen : launched workers that are not in `fleet` yet; they begin their boot.
    oldest_age : seconds, None when nothing waits or nothing is known.
    """

    backlog: Backlog
    fleet: Fleet
    unseen: int
    state: ControllerState
    oldest_age: float | None
    config: FleetConfig
    now: float

    @property
    def ready(self) -> int:
        """Workers that receive messages."""
        return len(self.fleet.ready)

    @property
    def capacity(self) -> int:
        """Workers that receive messages or will."""
        return self.ready + len(self.fleet.booting) + self.unseen

    @property
    def rate(self) -> float:
        """Messages a second of one busy worker."""
        return measured_rate(self.state, self.config)

    @property
    def boot(self) -> float:
        """Seconds from launch to the first message."""
        return self.state.boot_seconds or self.config.initial_boot_seconds


@dataclass(frozen=True, slots=True)
class Want:
    """What a rule answers.

    Attributes
    ----------
    number : workers wanted now.
    lasting : how many of them may be wanted again soon, and are therefore not given up
        for as long as the scale-in window.
    """

    number: int
    lasting: int
    reasons: tuple[Reason, ...] = ()


def given_rule(seen: Situation) -> Want:
    """Return ceil(backlog / messages an instance)."""
    number = math.ceil(seen.backlog.total / seen.config.messages_per_instance)
    return Want(number, number)


def latency_rule(seen: Situation) -> Want:
    """Return how many workers the latency target needs."""
    backlog, now = seen.backlog.total, seen.now
    if backlog == 0:
        return Want(0, 0)
    reasons: tuple[Reason, ...] = ()
    rate, boot = seen.rate, seen.boot
    # Readings are approximate, and a message is taken with up to nine others.
    target = seen.config.latency_target * seen.config.latency_aim
    if target <= boot * 1.1:
        # No launch could ever be in time; the best is to be done soon after the boot.
        target = 2 * boot
        reasons = (Reason.TARGET_BELOW_BOOT_TIME,)
    ready = seen.ready
    rests = [max(0.0, boot - (now - each.launched_at)) for each in seen.fleet.booting]
    rests += [boot] * seen.unseen

    more = _missing(backlog, target, ready, rests, rate, boot)
    fewest = _enough(backlog, target, ready, rests, rate)
    oldest = now - (target if seen.oldest_age is None else seen.oldest_age)
    for at, level in seen.state.samples:
        horizon = at + target - now
        if at < oldest or horizon <= boot * 1.1:
            continue
        left = min(backlog, level - rate * ready * (now - at))
        more = max(more, _missing(left, horizon, ready, rests, rate, boot))
        fewest = max(fewest, _enough(left, horizon, ready, rests, rate))
    number = max(1, seen.capacity + more if more else fewest)
    return Want(number, number, reasons)


def measured_rate(state: ControllerState, config: FleetConfig) -> float:
    """Return messages a second of one busy worker."""
    return state.throughput or config.initial_throughput


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
