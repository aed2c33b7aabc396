"""How many workers there should be: what the rule wants, within the limits."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from scaler.flow import flow_rule
from scaler.launching import budget_spent
from scaler.limits import FleetConfig, Rule
from scaler.memory import confirmed
from scaler.model import Backlog, Reason
from scaler.rules import Situation, Want, given_rule, latency_rule
from scaler.state import ControllerState

_RULES: dict[Rule, Callable[[Situation], Want]] = {
    Rule.GIVEN: given_rule,
    Rule.LATENCY: latency_rule,
    Rule.FLOW: flow_rule,
}


@dataclass(frozen=True, slots=True)
class Aim:
    """How many workers there should be.

    Attributes
    ----------
    wanted : by the rule; `desired` is what the limits leave of it.
    lasting : of `desired`, what may be wanted again soon.
    reasons : which limits held.
    """

    wanted: int
    desired: int
    lasting: int
    reasons: tuple[Reason, ...]


def aim_at(seen: Situation) -> Aim:
    """Return how many workers there should be now; `seen` has the backlog as it was read."""
    state, backlog, config = seen.state, seen.backlog, seen.config
    reasons: list[Reason] = []
    total = confirmed(state, backlog.total, config)
    if total < backlog.total:
        reasons.append(Reason.SPIKE_UNCONFIRMED)
        held = min(backlog.in_flight, total)
        seen = replace(seen, backlog=Backlog(total - held, held, backlog.dead))
    want = _RULES[config.rule](seen)
    reasons += want.reasons
    desired = want.number
    died = sum(count for _, count in state.dead)
    known = max(1, seen.capacity)
    if died >= max(config.dead_letter_limit, backlog.total / 5) and desired > known:
        # More workers would only kill the same messages sooner.
        desired = known
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
    lasting = min(desired, max(want.lasting, config.min_instances))
    return Aim(want.number, desired, lasting, tuple(reasons))


def note_want(state: ControllerState, aim: Aim, config: FleetConfig, now: float) -> ControllerState:
    """Keep the highest lasting number of the scale-in window in front."""
    kept = [each for each in state.wants if now - each[0] <= config.scale_in_window]
    while kept and kept[-1][1] <= aim.lasting:
        kept.pop()
    return replace(state, wants=(*kept, (now, aim.lasting)))
