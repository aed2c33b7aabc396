"""Which workers are given up, and which must stay."""

import heapq
from collections.abc import Collection

from scaler.launching import budget_spent
from scaler.model import Backlog, Fleet, FleetConfig, Instance, Market, Reason, ScaleIn
from scaler.state import ControllerState


def drains(
    state: ControllerState,
    backlog: Backlog,
    fleet: Fleet,
    surplus: int,
    config: FleetConfig,
    now: float,
) -> tuple[tuple[str, ...], list[Reason]]:
    """Return whom to claim: outdated, then on-demand, then the oldest; and what prevents it.

    Which worker holds a message cannot be seen from outside; a claimed one says when it
    holds none. While there is work, one worker is never claimed.
    """
    spent = budget_spent(state, config)
    clamps: list[Reason] = []
    if not spent:
        prevented = _prevented(state, backlog, config, now)
        if prevented is not None:
            return (), [prevented]
        if backlog.total:
            # What was wanted a moment ago may be wanted again.
            capacity = len(fleet.ready) + len(fleet.booting) + len(state.launched)
            recent = capacity - state.wants[0][1]
            if recent < surplus:
                clamps.append(Reason.SCALE_IN_WINDOW)
            surplus = min(surplus, recent)
    reasons: list[Reason] = []
    free: list[Instance] = []
    for each in fleet.ready:
        if each.hold_until > now:
            reasons = [Reason.HELD_BY_TAG]
        elif spent or now - each.launched_at >= config.min_runtime:
            free.append(each)
    most = len(fleet.ready) - (1 if backlog.total else 0)
    if most < surplus and backlog.total and fleet.ready:
        clamps.append(Reason.LAST_WORKER_KEPT)
    surplus = min(surplus, most)
    if surplus <= 0:
        return (), clamps
    chosen = heapq.nsmallest(
        surplus,
        free,
        key=lambda each: (
            not each.outdated,
            each.keep_until > now,
            each.market is Market.SPOT,
            each.launched_at,
            each.instance_id,
        ),
    )
    if len(chosen) < surplus and not reasons:
        reasons = [Reason.YOUNGER_THAN_MIN_RUNTIME]
    elif len(chosen) == surplus:
        reasons = []
    return tuple(each.instance_id for each in chosen), clamps + reasons


def keepers(
    fleet: Fleet, given_up: Collection[str], config: FleetConfig, now: float
) -> tuple[str, ...]:
    """Return the workers of the minimum whose mark is to be set or renewed.

    A worker ends itself when it was idle for long. One that bears the mark does not, so
    the minimum is not ended by itself and launched again for ever.
    """
    if not config.min_instances:
        return ()
    marked = [
        each for each in fleet.ready if each.keep_until > now and each.instance_id not in given_up
    ]
    missing = config.min_instances - len(marked)
    soon = now + config.keep_seconds / 2
    renewed = [each for each in marked[: config.min_instances] if each.keep_until < soon]
    others = (
        each for each in fleet.ready if each.keep_until <= now and each.instance_id not in given_up
    )
    added = heapq.nsmallest(
        max(0, missing), others, key=lambda each: (each.launched_at, each.instance_id)
    )
    return tuple(each.instance_id for each in (*renewed, *added))


def _prevented(
    state: ControllerState, backlog: Backlog, config: FleetConfig, now: float
) -> Reason | None:
    if backlog.total and config.scale_in is ScaleIn.EMPTY:
        return Reason.STILL_WORKING
    if not backlog.total and now - state.quiet_since < config.quiet_time:
        return Reason.NOT_YET_QUIET
    if state.lost_at and now - state.lost_at < config.loss_hold:
        return Reason.CAPACITY_WAS_LOST
    if now - state.scaled_in_at < config.scale_in_cooldown:
        return Reason.SCALE_IN_COOLDOWN
    return None
