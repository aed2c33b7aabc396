"""What to do now about the fleet: pure, the whole of the controller's judgement.

Worked example, with 5 messages an instance, at most 15 instances and 5 launches a tick:
100 messages wait, 8 more are being worked on, 2 workers run, 3 boot and 1 drains.

    wanted   = ceil((100 + 8) / 5)          = 22
    desired  = 22, at most                  = 15
    capacity = 2 ready + 3 booting          = 5
    rescue   = the draining one, if it has not confirmed yet: capacity 6
    launch   = min(15 - 6, 15 that may exist - 6, 5 a tick) = 5      (the rest next tick)

Work in flight counts because its workers are busy with it; booting workers count because
they were launched for this very backlog. Steps are small because ticks are many: whatever
fails or falls short is simply missing in the next observation.
"""

from dataclasses import replace
from itertools import islice

from scaler import breaker as circuit
from scaler.desired import aim_at, note_want
from scaler.launching import allowance, intent, launching, startable
from scaler.memory import oldest_age, remember
from scaler.model import Backlog, Decision, Fleet, FleetConfig, Observation, Reason
from scaler.refresh import least_healthy, refresh
from scaler.rules import Situation
from scaler.scale_in import drains, keepers
from scaler.state import ControllerState, LaunchIntent, with_usage
from scaler.upkeep import Upkeep, look_after

__all__ = ["decide"]


def decide(observation: Observation, config: FleetConfig, now: float) -> Decision:
    """Return the step that brings the fleet nearer to what the backlog wants.

    Costs O(booting + draining + suspects), and O(instances) in ticks that scale in or
    keep a minimum.

    Parameters
    ----------
    now : Unix seconds, not before `observation.read_at`.
    """
    state, backlog, fleet = observation.state, observation.backlog, observation.fleet
    held = _unusable(observation, config, now)
    if held or backlog is None or fleet is None:
        return Decision(desired=None, state=state, reasons=tuple(held))
    seen = remember(state, observation, backlog, fleet, config, now)
    age = oldest_age(seen, observation, now)
    if now < config.pause_until:
        rested = replace(seen, level=backlog.total)
        return Decision(None, rested, reasons=(Reason.PAUSED,), oldest_age=age)
    decision = _step(seen, backlog, fleet, bool(observation.booted), age, config, now)
    if config.dry_run:
        # Nothing will be done, so the state must not remember it as done.
        state = replace(seen, level=backlog.total, capacity=decision.capacity)
        return replace(decision, state=state, reasons=(*decision.reasons, Reason.DRY_RUN))
    return decision


def _unusable(observation: Observation, config: FleetConfig, now: float) -> list[Reason]:
    reasons = []
    if observation.backlog is None:
        reasons.append(Reason.BACKLOG_UNREADABLE)
    if observation.fleet is None:
        reasons.append(Reason.FLEET_UNREADABLE)
    if now - observation.read_at > config.stale_seconds:
        reasons.append(Reason.STALE_READING)
    return reasons


def _step(
    state: ControllerState,
    backlog: Backlog,
    fleet: Fleet,
    booted: bool,
    age: float | None,
    config: FleetConfig,
    now: float,
) -> Decision:
    upkeep = look_after(fleet, config, now)
    state = _breaker(state, booted, len(upkeep.boot_failures), config, now)
    unseen = len(state.launched)
    lapsed = len(upkeep.released)
    capacity = len(fleet.ready) + len(fleet.booting) - len(upkeep.boot_failures) + unseen + lapsed
    aim = aim_at(Situation(backlog, fleet, unseen, state, age, config, now))
    state = note_want(state, aim, config, now)
    renewal = refresh(state, backlog, fleet, aim.desired, capacity, config, now)
    reasons = [*aim.reasons, *upkeep.reasons]
    if renewal.due:
        reasons.append(Reason.REFRESHING)
    made: LaunchIntent | None = None
    rescued: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()
    healthy = least_healthy(aim.desired, config, busy=backlog.total > 0)
    short = aim.desired + renewal.ahead - capacity
    if short > 0:
        rescued = upkeep.rescuable[:short]
        rescued += upkeep.outdated[: max(0, healthy - capacity - len(rescued))]
        if rescued:
            reasons.append(Reason.RESCUED)
        short -= len(rescued)
        started, made, held = _grow(state, fleet, unseen, short, config, now)
        reasons += held
    elif short < 0 and not state.intent:
        surplus = -short
        if fleet.outdated:
            # What was launched for the outdated ones does not work yet while it boots.
            surplus = min(surplus, max(0, len(fleet.ready) - healthy))
        given_up, held = drains(state, backlog, fleet, surplus, config, now)
        reasons += held
    if not (rescued or given_up):
        given_up = renewal.drain
    ended, stopped = _ended(upkeep, fleet, config)
    after = replace(
        state,
        level=backlog.total,
        capacity=capacity + len(rescued) - len(given_up),
        scaled_out_at=now if started or made else state.scaled_out_at,
        scaled_in_at=now if given_up else state.scaled_in_at,
    )
    if made is not None and made is not state.intent:
        after = launching(after, made)
    return Decision(
        desired=aim.desired,
        state=after,
        wanted=aim.wanted,
        launch=made,
        start=started,
        rescue=(*upkeep.released, *rescued),
        drain=given_up,
        suspect=upkeep.suspected,
        cleared=upkeep.cleared,
        terminate=(*ended, *renewal.end),
        stop=stopped,
        keep=keepers(fleet, given_up, config, now),
        reasons=tuple(reasons),
        capacity=capacity,
        unseen=unseen,
        oldest_age=age,
    )


def _breaker(
    state: ControllerState, booted: bool, boot_failures: int, config: FleetConfig, now: float
) -> ControllerState:
    """Return the state with its breaker and its unfinished launch brought up to date."""
    # Before it is due: after a long gap between ticks a probe that works has not failed.
    breaker = circuit.succeeded(state.breaker) if booted else state.breaker
    breaker = circuit.due(breaker, config, now)
    if booted:
        breaker = circuit.succeeded(breaker)
    if boot_failures:
        breaker = circuit.failed(breaker, config, now, failures=boot_failures)
        state = with_usage(state, boot_failures=boot_failures)
    intent_kept = state.intent
    if intent_kept is not None and now - intent_kept.at > 2 * config.unseen_seconds:
        intent_kept = None  # by now EC2 shows what came of it
    return replace(state, breaker=breaker, intent=intent_kept)


def _grow(
    state: ControllerState,
    fleet: Fleet,
    unseen: int,
    short: int,
    config: FleetConfig,
    now: float,
) -> tuple[tuple[str, ...], LaunchIntent | None, list[Reason]]:
    """Return whom to start, what to launch, and what kept the number down."""
    allowed, reasons = allowance(state, fleet, unseen, short, config, now)
    if allowed <= 0:
        return (), None, reasons
    pending = state.intent
    if pending is not None:
        # Whether it was carried out is not known; the same token cannot launch twice.
        reasons.append(Reason.FINISHING_EARLIER_LAUNCH)
        return (), pending if pending.count <= allowed else None, reasons
    started = tuple(islice(startable(state, fleet, config, now), allowed))
    allowed -= len(started)
    made = intent(state, allowed, config, now) if allowed else None
    if allowed and made is None:
        reasons.append(Reason.NO_POOL_LEFT)
    return started, made, reasons


def _ended(
    upkeep: Upkeep, fleet: Fleet, config: FleetConfig
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return whom to terminate, and who is stopped to be a warm one."""
    missing = max(0, config.warm_pool - len(fleet.stopped))
    stopped = upkeep.stoppable[:missing]
    return tuple(each for each in upkeep.over if each not in stopped), stopped
