"""The replacement of workers that run an older image, a bounded share at a time.

Worked example: 10 workers are desired, all of them outdated; a surge of 0.2 and a healthy
minimum of 0.9. Nine must stay ready, so one is claimed, and ends when it holds nothing;
three new ones are launched, two of them ahead. Once they work, 12 are ready: three more are
claimed and replaced, and so on until ten new ones work.

Where the maximum leaves no room to launch ahead, one worker less has to do for a while. A
new image that does not boot costs what was launched ahead and opens the circuit breaker;
the outdated workers stay.
"""

import math
from dataclasses import dataclass

from scaler.launching import budget_spent
from scaler.limits import FleetConfig
from scaler.model import Backlog, Fleet
from scaler.state import BreakerState, ControllerState


@dataclass(frozen=True, slots=True)
class Refresh:
    """What is due about outdated workers.

    Attributes
    ----------
    ahead : workers to have beyond the desired ones.
    drain : outdated workers to claim now.
    end : outdated stopped instances; none of them is to be started.
    """

    ahead: int = 0
    drain: tuple[str, ...] = ()
    end: tuple[str, ...] = ()

    @property
    def due(self) -> bool:
        return bool(self.ahead or self.drain or self.end)


_NOTHING = Refresh()


def refresh(
    state: ControllerState,
    backlog: Backlog,
    fleet: Fleet,
    desired: int,
    capacity: int,
    config: FleetConfig,
    now: float,
) -> Refresh:
    """Return what is due; nothing while a launch could not replace what is given up.

    Parameters
    ----------
    state : with what was wanted just now noted.
    capacity : ready, booting and unseen workers, outdated ones included.
    """
    if not (config.refresh and fleet.outdated):
        return _NOTHING
    end = tuple(
        each.instance_id
        for each in fleet.stopped
        if each.outdated and each.hold_until <= now and each.instance_id not in state.launched
    )[: config.launch_batch]
    breaker = state.breaker.state
    if (
        not desired
        or breaker is BreakerState.OPEN
        or now < state.backoff_until
        or budget_spent(state, config)
    ):
        return Refresh(end=end)
    old = [each for each in fleet.ready if each.outdated and each.hold_until <= now]
    outdated = len(old) + sum(1 for each in fleet.booting if each.outdated)
    missing = max(0, desired - (capacity - outdated))
    ahead = min(missing, outdated, _most_ahead(desired, config))
    lost = state.lost_at and now - state.lost_at < config.loss_hold
    unsure = not backlog.total and now - state.quiet_since < config.quiet_time
    if breaker is BreakerState.HALF_OPEN or lost or unsure:
        # What is launched ahead is the probe; nobody is given up before it works.
        return Refresh(ahead, (), end)
    # One low reading is no reason to have fewer, and no more than a share goes at once.
    kept = max(desired, state.wants[0][1])
    room = len(fleet.ready) - least_healthy(kept, config, busy=backlog.total > 0)
    share = kept - math.ceil(config.refresh_min_healthy * kept - 1e-9)
    room = min(room, max(1, share + _most_ahead(kept, config)))
    free = sorted(
        (each for each in old if now - each.launched_at >= config.min_runtime),
        key=lambda each: (each.launched_at, each.instance_id),
    )
    return Refresh(ahead, tuple(each.instance_id for each in free[: max(0, room)]), end)


def least_healthy(desired: int, config: FleetConfig, *, busy: bool) -> int:
    """Return how many ready workers a refresh leaves of the desired ones.

    Parameters
    ----------
    busy : whether there is work; then one stays in any case.
    """
    least = math.ceil(config.refresh_min_healthy * desired - 1e-9)
    if not _most_ahead(desired, config):
        least = min(least, desired - 1)
    return max(least, 1 if busy and desired else 0)


def _most_ahead(desired: int, config: FleetConfig) -> int:
    """Return how many may be launched ahead of those that they replace."""
    share = max(1, math.floor(config.refresh_surge * desired)) if config.refresh_surge else 0
    return max(0, min(share, config.max_instances - desired))
