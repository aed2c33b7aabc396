"""How many instances may be launched now, where, and under which token."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace

from scaler import breaker as circuit
from scaler.model import Fleet, FleetConfig, Instance, Market, Reason
from scaler.state import BreakerState, ControllerState, LaunchIntent, Pool, cool_off_key


def allowance(
    state: ControllerState,
    fleet: Fleet,
    unseen: int,
    short: int,
    config: FleetConfig,
    now: float,
) -> tuple[int, list[Reason]]:
    """Return how many of `short` missing workers may be launched or started, and why so few.

    The maximum counts everything that exists: draining and leaving instances, and those
    of every other launcher that carry the stack's tags.
    """
    room = config.max_instances - fleet.existing - unseen
    limits = [(max(0, room), Reason.HELD_TO_MAXIMUM)]
    limits.append((config.launch_batch, Reason.HELD_TO_LAUNCH_BATCH))
    if config.budget_hours is not None:
        limits.append((_affordable(state, fleet, unseen, config), Reason.BUDGET_LIMITS_LAUNCH))
    probes = circuit.allowed(state.breaker)
    if probes is not None:
        is_open = state.breaker.state is BreakerState.OPEN
        limits.append((probes, Reason.BREAKER_OPEN if is_open else Reason.BREAKER_PROBES))
    if now < state.backoff_until:
        limits.append((0, Reason.BACKING_OFF))
    if now - state.scaled_out_at < config.scale_out_cooldown:
        limits.append((0, Reason.SCALE_OUT_COOLDOWN))
    # Each limit that holds is named, also where another one holds more.
    reasons = [reason for limit, reason in limits if limit < short]
    return min(short, *(limit for limit, _ in limits)), reasons


def intent(
    state: ControllerState, count: int, config: FleetConfig, now: float
) -> LaunchIntent | None:
    """Return a launch in the first market that has a pool outside its cool-off."""
    for market in config.markets:
        pools = open_pools(state, market, config, now)
        if pools:
            token = launch_token(state.sequence, count, market, pools, now)
            return LaunchIntent(token, count, market.value, pools, now)
    return None


def open_pools(
    state: ControllerState, market: Market, config: FleetConfig, now: float
) -> tuple[Pool, ...]:
    """Return the pools of a market that did not refuse lately."""
    if not state.cool_offs:
        return config.pools
    return tuple(
        pool for pool in config.pools if state.cool_offs.get(cool_off_key(market, pool), 0.0) <= now
    )


def startable(
    state: ControllerState, fleet: Fleet, config: FleetConfig, now: float
) -> Iterator[str]:
    """Yield the stopped instances not started yet whose pool did not refuse lately."""
    for each in fleet.stopped:
        if each.outdated and config.refresh:
            continue
        if each.instance_id not in state.launched and not _cooling(state, each, now):
            yield each.instance_id


def launch_token(
    sequence: int, count: int, market: str, pools: tuple[Pool, ...], now: float
) -> str:
    """Return a token of 32 hex digits that belongs to this launch and no other."""
    text = f"{sequence}/{count}/{market}/{pools}/{now!r}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def launching(state: ControllerState, made: LaunchIntent) -> ControllerState:
    """Return the state in which the launch is written down, not yet asked for."""
    return replace(state, sequence=state.sequence + 1, intent=made)


def budget_spent(state: ControllerState, config: FleetConfig) -> bool:
    """Whether today's instance-hours are used up."""
    return config.budget_hours is not None and state.usage.instance_hours >= config.budget_hours


def _cooling(state: ControllerState, instance: Instance, now: float) -> bool:
    """Whether the pool of an instance, or one that leaves type or zone open, refused lately."""
    if not state.cool_offs:
        return False
    kind, subnet = instance.pool
    covering = (Pool(a, b) for a in {kind, ""} for b in {subnet, ""})
    return any(
        state.cool_offs.get(cool_off_key(instance.market, pool), 0.0) > now for pool in covering
    )


def _affordable(state: ControllerState, fleet: Fleet, unseen: int, config: FleetConfig) -> int:
    """Return how many more instances can run for their least time within the budget."""
    assert config.budget_hours is not None
    left = config.budget_hours * 3600 - state.usage.instance_seconds
    return max(0, math.floor(left / max(60.0, config.min_runtime)) - fleet.paid - unseen)
