"""What became of a decision, and what the state learns from it."""

from dataclasses import dataclass, replace

from scaler import breaker as circuit
from scaler.model import Decision, FleetConfig
from scaler.state import ControllerState, Pool, cool_off_key, with_usage


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision.

    Attributes
    ----------
    launched, started : ids of the instances that EC2 says are coming.
    launch_unknown : no answer came to the launch; it may have happened.
    capacity_errors : `(market, pool)` that had nothing to give.
    retryable, permanent : launches and starts refused for other reasons, by whether the
        same call may succeed later.
    claimed, terminated, stopped : ids for which EC2 accepted the drain, the end, the stop.
    failures : error codes of everything that failed.
    """

    launched: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    launch_unknown: bool = False
    capacity_errors: tuple[tuple[str, Pool], ...] = ()
    retryable: int = 0
    permanent: int = 0
    claimed: tuple[str, ...] = ()
    terminated: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def absorb(
    decision: Decision, outcome: Outcome, config: FleetConfig, now: float
) -> ControllerState:
    """Return the state after a decision was carried out.

    What was launched is capacity from now on, whether EC2 shows it yet or not. What a
    launch fell short of is simply missing at the next tick. A launch whose end is not known
    stays written down until it was asked for again and answered.
    """
    state, asked = decision.state, decision.launch
    if asked is not None and not outcome.launch_unknown:
        state = with_usage(state, requested=asked.count, launched=len(outcome.launched))
        state = replace(state, intent=None)
    coming = (*outcome.launched, *outcome.started)
    breaker, backoff, until = state.breaker, state.backoff, state.backoff_until
    if coming:
        breaker, backoff, until = circuit.probed(breaker, now), 0.0, 0.0
    if outcome.permanent:
        breaker = circuit.failed(breaker, config, now, failures=outcome.permanent, permanent=True)
    if outcome.retryable:
        breaker = circuit.failed(breaker, config, now, failures=outcome.retryable)
        backoff = min(config.backoff_longest, max(config.backoff_seconds, backoff * 2))
        until = now + backoff
    cool_offs = dict(state.cool_offs)
    for market, pool in outcome.capacity_errors:
        cool_offs[cool_off_key(market, pool)] = now + config.cool_off_seconds
    return replace(
        state,
        launched={**state.launched, **dict.fromkeys(coming, now)},
        breaker=breaker,
        backoff=backoff,
        backoff_until=until,
        cool_offs=cool_offs,
    )
