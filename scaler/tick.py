"""Looks, decides and acts every few seconds within the minute between two schedules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from scaler.decide import decide
from scaler.memory import newly_booted, not_ahead
from scaler.model import Backlog, Decision, Fleet, FleetConfig, Observation
from scaler.naming import nameless
from scaler.observe import QueueMetrics
from scaler.outcome import Outcome, absorb
from scaler.state import ControllerState
from scaler.store import LeaseHeldError

# The next invocation starts a minute after this one; nothing may still run then.
LAST_START_SECONDS = 50.0
LAST_CALL_SECONDS = 52.0


class Acts(Protocol):
    """What the controller needs of an executor."""

    def carry_out(
        self, decision: Decision, fleet: Fleet, config: FleetConfig, now: float
    ) -> Outcome:
        """Carry a decision out."""


class Stores(Protocol):
    """What the controller needs of `store.StateStore`."""

    def open(self, now: float) -> ControllerState: ...
    def save(self, state: ControllerState, now: float) -> None: ...
    def due(self, now: float) -> bool: ...
    def close(self, state: ControllerState, now: float) -> None: ...


class Reads(Protocol):
    """What the controller needs of the world; None stands for unreadable."""

    def backlog(self) -> Backlog | None: ...
    def fleet(self) -> Fleet | None: ...
    def queue_metrics(self, backlog: Backlog | None) -> QueueMetrics: ...


@dataclass(frozen=True)
class TickRecord:
    """Everything about one tick: what was seen, decided and done.

    Attributes
    ----------
    state : after the tick.
    problem : why nothing could be done, or what is wrong with the settings.
    """

    at: float
    observation: Observation
    decision: Decision
    outcome: Outcome
    state: ControllerState
    problem: str | None = None


@dataclass
class Controller:
    """One look, one decision, one act at a time, by whoever holds the lease.

    Parameters
    ----------
    config : returns the limits in force and what is wrong with the overlay, if anything.
    clock : Unix seconds.
    """

    store: Stores
    reads: Reads
    executor: Acts
    config: Callable[[], tuple[FleetConfig, str | None]]
    clock: Callable[[], float]
    _state: ControllerState | None = None

    def tick(self) -> TickRecord | None:
        """Look, decide, act; None while another controller holds the lease.

        Raises
        ------
        StoreUnavailableError
            Without the state nothing is decided.
        """
        if self._state is None:
            try:
                self._state = self.store.open(self.clock())
            except LeaseHeldError:
                return None
        state = self._state
        config, problem = self.config()
        began = self.clock()
        backlog, fleet = self.reads.backlog(), self.reads.fleet()
        metrics = self.reads.queue_metrics(backlog)
        now = self.clock()
        state = not_ahead(state, config, now)
        observation = Observation(
            backlog=backlog,
            fleet=fleet,
            state=state,
            read_at=began,
            oldest_age=metrics.oldest_age,
            completed=None
            if metrics.completed_per_second is None or not state.ticked_at
            else metrics.completed_per_second * (now - state.ticked_at),
            booted=newly_booted(state, fleet, now) if fleet is not None else (),
        )
        decision = decide(observation, config, now)
        outcome = Outcome()
        try:
            if fleet is not None and not config.dry_run and _due(decision, fleet):
                # Written down first: whatever happens to this process, the launch is
                # known to the next one by its token.
                self.store.save(decision.state, now)
                self._state = decision.state
                outcome = self.executor.carry_out(decision, fleet, config, now)
                self._state = absorb(decision, outcome, config, now)
                self.store.save(self._state, self.clock())
            else:
                self._state = decision.state
                if self.store.due(now):
                    self.store.save(self._state, now)
        except LeaseHeldError:
            self._state = None
            return TickRecord(now, observation, decision, outcome, state, "lease lost")
        return TickRecord(now, observation, decision, outcome, self._state, problem)

    def close(self) -> None:
        """Write the state and give the lease back, where it is held."""
        if self._state is None:
            return
        try:
            self.store.close(self._state, self.clock())
        except LeaseHeldError:
            pass
        finally:
            self._state = None


def _due(decision: Decision, fleet: Fleet) -> bool:
    """Whether there is anything for the executor, be it a name that is missing."""
    return decision.acts or (decision.desired is not None and bool(nameless(fleet)[0]))


def run(
    tick: Callable[[], None],
    *,
    ticks: int | None,
    tick_seconds: Callable[[], float],
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> int:
    """Call `tick` every `tick_seconds` until the minute is nearly over.

    Parameters
    ----------
    ticks : at most so many; None for as many as fit.
    monotonic : returns seconds that only ever grow.

    Returns
    -------
    int
        How many ticks there were.
    """
    started = monotonic()
    due = started
    done = 0
    while True:
        tick()
        done += 1
        # Counted from when it was due, so that the length of a tick does not add up.
        now = monotonic()
        due = max(due + tick_seconds(), now)
        if (ticks is not None and done >= ticks) or due - started > LAST_START_SECONDS:
            return done
        sleep(due - now)
