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
from scaler.flow import flow_rule
from scaler.launching import allowance, budget_spent, intent, launching, startable
from scaler.memory import confirmed, oldest_age, remember
from scaler.model import Backlog, Decision, Fleet, FleetConfig, Observation, Reason, Rule
from scaler.rules import given_rule, latency_rule
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
    wanted, desired, reasons = _desired(state, backlog, fleet, unseen, capacity, age, config, now)
    reasons += upkeep.reasons
    made: LaunchIntent | None = None
    rescued: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()
    state = _note_want(state, desired, config, now)
    short = desired - capacity
    if short > 0:
        rescued = upkeep.rescuable[:short]
        if rescued:
            reasons.append(Reason.RESCUED)
        short -= len(rescued)
        started, made, held = _grow(state, fleet, unseen, short, config, now)
        reasons += held
    elif short < 0 and not state.intent:
        given_up, held = drains(state, backlog, fleet, -short, config, now)
        reasons += held
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
        desired=desired,
        state=after,
        wanted=wanted,
        launch=made,
        start=started,
        rescue=(*upkeep.released, *rescued),
        drain=given_up,
        suspect=upkeep.suspected,
        cleared=upkeep.cleared,
        terminate=ended,
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


def _desired(
    state: ControllerState,
    backlog: Backlog,
    fleet: Fleet,
    unseen: int,
    capacity: int,
    age: float | None,
    config: FleetConfig,
    now: float,
) -> tuple[int, int, list[Reason]]:
    """Return what the rule wants, what the limits leave of it, and which limits held."""
    reasons: list[Reason] = []
    total = confirmed(state, backlog.total, config)
    if total < backlog.total:
        reasons.append(Reason.SPIKE_UNCONFIRMED)
    if config.rule is Rule.GIVEN:
        wanted = given_rule(total, config)
    elif config.rule is Rule.FLOW:
        sure = replace(backlog, visible=min(backlog.visible, total))
        wanted, notes = flow_rule(sure, fleet, unseen, state, age, config, now)
        reasons += notes
    else:
        wanted, notes = latency_rule(total, fleet, unseen, state, age, config, now)
        reasons += notes
    desired = wanted
    died = sum(count for _, count in state.dead)
    if died >= max(config.dead_letter_limit, backlog.total / 5) and desired > max(1, capacity):
        # More workers would only kill the same messages sooner.
        desired = max(1, capacity)
        reasons.append(Reason.DEAD_LETTERS_GROW)
    if desired < config.min_instances:
        desired = config.min_instances
        reasons.append(Reason.RAISED_TO_MINIMUM)
    if desired > config.max_instances:
        desired = config.max_instances
        reasons.append(Reason.HELD_TO_MAXIMUM)
    if budget_spent(state, config):
        # One worker ends what is in flight; the rest waits for the next day.
        desired = min(desired, 1 if backlog.in_flight else 0)
        reasons.append(Reason.BUDGET_SPENT)
    return wanted, desired, reasons


def _note_want(
    state: ControllerState, desired: int, config: FleetConfig, now: float
) -> ControllerState:
    """Keep the highest desired number of the scale-in window in front."""
    kept = [each for each in state.wants if now - each[0] <= config.scale_in_window]
    while kept and kept[-1][1] <= desired:
        kept.pop()
    return replace(state, wants=(*kept, (now, desired)))


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
    started = tuple(islice(startable(state, fleet, now), allowed))
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
