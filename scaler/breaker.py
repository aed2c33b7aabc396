"""The circuit breaker before launches: opens by itself, probes by itself, closes by itself.

Five failures in a row open it, a permanent error opens it at once. After its wait it is
half-open: one launch of one instance probes. The breaker closes when that instance works,
opens again for twice the time when it fails. What counts is a call that EC2 refused for
another reason than capacity, and an instance that did not come to work by its deadline;
an instance that EC2 does not show yet is no failure.
"""

from dataclasses import replace

from scaler.model import FleetConfig
from scaler.state import Breaker, BreakerState


def due(breaker: Breaker, config: FleetConfig, now: float) -> Breaker:
    """Return the breaker at `now`: an open one whose wait is over is half-open.

    A probe of which nothing was heard for long (it may have been taken away) failed.
    """
    if breaker.probe_at and now - breaker.probe_at > config.boot_deadline + config.unseen_seconds:
        return failed(breaker, config, now)
    if breaker.state is BreakerState.OPEN and now >= breaker.until:
        return replace(breaker, state=BreakerState.HALF_OPEN, probe_at=0.0)
    return breaker


def allowed(breaker: Breaker) -> int | None:
    """Return how many instances may be launched; None for any number."""
    match breaker.state:
        case BreakerState.CLOSED:
            return None
        case BreakerState.OPEN:
            return 0
        case BreakerState.HALF_OPEN:
            return 0 if breaker.probe_at else 1


def probed(breaker: Breaker, now: float) -> Breaker:
    """Return the breaker after EC2 accepted a launch."""
    if breaker.state is BreakerState.HALF_OPEN:
        return replace(breaker, probe_at=now)
    return breaker


def succeeded(breaker: Breaker) -> Breaker:
    """Return the breaker after an instance came to work."""
    return breaker if breaker.state is BreakerState.OPEN else Breaker()


def failed(
    breaker: Breaker, config: FleetConfig, now: float, *, failures: int = 1, permanent: bool = False
) -> Breaker:
    """Return the breaker after failures."""
    count = breaker.failures + failures
    probe_failed = breaker.state is BreakerState.HALF_OPEN
    if breaker.state is BreakerState.OPEN:
        return replace(breaker, failures=count)
    if not (probe_failed or permanent or count >= config.breaker_failures):
        return replace(breaker, failures=count)
    longer = min(config.breaker_longest, breaker.wait * 2) if probe_failed else 0.0
    wait = max(config.breaker_seconds, longer)
    return Breaker(BreakerState.OPEN, count, now + wait, wait)
