"""How many workers a backlog wants, and the step towards them."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.thin import (
    Backlog,
    DecideConfig,
    Decision,
    Observation,
    Reason,
    Worker,
    WorkerState,
    decide,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def config(
    *,
    least: int = 0,
    most: int = 15,
    each: int = 5,
    batch: int = 5,
    runtime: float = 300,
    quiet: float = 15,
) -> DecideConfig:
    return DecideConfig(
        min_instances=least,
        max_instances=most,
        messages_per_instance=each,
        min_runtime=timedelta(seconds=runtime),
        launch_batch=batch,
        quiet_time=timedelta(seconds=quiet),
    )


def fleet(running: int, pending: int = 0, age: float = 3600) -> tuple[Worker, ...]:
    states = [WorkerState.RUNNING] * running + [WorkerState.PENDING] * pending
    return tuple(
        Worker(f"i-{n:02}", f"app-tier-instance-{n}", state, NOW - timedelta(seconds=age + n))
        for n, state in enumerate(states, start=1)
    )


def step(
    visible: int,
    in_flight: int,
    workers: tuple[Worker, ...],
    limits: DecideConfig | None = None,
    quiet_since: datetime | None = None,
) -> Decision:
    seen = Observation(Backlog(visible, in_flight), workers, quiet_since)
    return decide(seen, limits or config(), NOW)


@pytest.mark.parametrize(
    ("visible", "in_flight", "desired"),
    [(0, 0, 0), (1, 0, 1), (5, 0, 1), (6, 0, 2), (3, 3, 2), (0, 1, 1), (74, 0, 15), (75, 0, 15)],
)
def test_one_worker_for_each_five_messages(visible: int, in_flight: int, desired: int) -> None:
    decision = step(visible, in_flight, ())
    assert (decision.desired, decision.launch) == (desired, min(desired, 5))


def test_the_worked_example() -> None:
    decision = step(100, 8, fleet(2, pending=3))
    assert decision == Decision(
        15, launch=5, reasons=(Reason.HELD_TO_MAXIMUM, Reason.HELD_TO_LAUNCH_BATCH)
    )


def test_booting_workers_are_capacity() -> None:
    assert step(25, 0, fleet(0, pending=5)) == Decision(5)
    assert step(26, 0, fleet(0, pending=5)).launch == 1


def test_the_minimum_is_kept_without_any_message() -> None:
    decision = step(0, 0, (), config(least=1))
    assert decision == Decision(1, launch=1, reasons=(Reason.RAISED_TO_MINIMUM,))


@pytest.mark.parametrize(
    ("backlog", "workers", "reasons"),
    [
        (None, fleet(3), (Reason.BACKLOG_UNREADABLE,)),
        (Backlog(50, 0), None, (Reason.FLEET_UNREADABLE,)),
        (None, None, (Reason.BACKLOG_UNREADABLE, Reason.FLEET_UNREADABLE)),
    ],
)
def test_what_cannot_be_read_changes_nothing(
    backlog: Backlog | None, workers: tuple[Worker, ...] | None, reasons: tuple[Reason, ...]
) -> None:
    decision = decide(Observation(backlog, workers, LONG_AGO), config(least=1), NOW)
    assert decision == Decision(None, reasons=reasons)


def test_idle_workers_are_ended_when_the_queue_stayed_empty() -> None:
    decision = step(0, 0, fleet(3), quiet_since=NOW - timedelta(seconds=15))
    assert decision == Decision(0, terminate=("i-03", "i-02", "i-01"))


def test_the_oldest_go_first_and_the_minimum_stays() -> None:
    decision = step(0, 0, fleet(3), config(least=1), quiet_since=LONG_AGO)
    assert decision.terminate == ("i-03", "i-02")


@pytest.mark.parametrize("since", [None, NOW, NOW - timedelta(seconds=14.9)])
def test_a_queue_that_is_empty_for_a_moment_ends_nobody(since: datetime | None) -> None:
    assert step(0, 0, fleet(3), quiet_since=since) == Decision(0, reasons=(Reason.NOT_YET_QUIET,))


@pytest.mark.parametrize(("visible", "in_flight"), [(0, 1), (1, 0), (3, 2)])
def test_nobody_is_ended_while_there_is_work(visible: int, in_flight: int) -> None:
    decision = step(visible, in_flight, fleet(9), quiet_since=LONG_AGO)
    assert decision == Decision(1, reasons=(Reason.STILL_WORKING,))


def test_young_workers_stay() -> None:
    workers = (*fleet(1), *(fleet(3, age=100)[1:]))
    decision = step(0, 0, workers, quiet_since=LONG_AGO)
    assert decision == Decision(0, terminate=("i-01",), reasons=(Reason.YOUNGER_THAN_MIN_RUNTIME,))


def test_the_minimum_runtime_is_exact() -> None:
    at = fleet(1, age=299)
    assert step(0, 0, at, quiet_since=LONG_AGO).terminate == ("i-01",)
    assert step(0, 0, at, config(runtime=301), quiet_since=LONG_AGO).terminate == ()


def test_more_workers_than_the_maximum_are_not_ended_at_work() -> None:
    decision = step(500, 0, fleet(20))
    assert decision == Decision(15, reasons=(Reason.HELD_TO_MAXIMUM, Reason.STILL_WORKING))


CONFIGS = st.builds(
    lambda least, more, each, batch, runtime, quiet: config(
        least=least, most=least + more, each=each, batch=batch, runtime=runtime, quiet=quiet
    ),
    st.integers(0, 5),
    st.integers(0, 20),
    st.integers(1, 20),
    st.integers(1, 10),
    st.floats(0, 1000),
    st.floats(0, 60),
)
WORKERS = st.lists(st.tuples(st.sampled_from(WorkerState), st.floats(0, 2000)), max_size=30).map(
    lambda made: tuple(
        Worker(f"i-{n}", f"w-{n}", state, NOW - timedelta(seconds=age))
        for n, (state, age) in enumerate(made)
    )
)
BACKLOGS = st.builds(Backlog, st.integers(0, 500), st.integers(0, 50))
SINCE = st.none() | st.floats(0, 200).map(lambda age: NOW - timedelta(seconds=age))


@given(BACKLOGS, WORKERS, SINCE, CONFIGS)
def test_invariants(
    backlog: Backlog, workers: tuple[Worker, ...], since: datetime | None, limits: DecideConfig
) -> None:
    decision = decide(Observation(backlog, workers, since), limits, NOW)
    assert decision.desired is not None
    assert limits.min_instances <= decision.desired <= limits.max_instances
    wanted = math.ceil(backlog.total / limits.messages_per_instance)
    assert decision.desired == max(limits.min_instances, min(limits.max_instances, wanted))

    assert 0 <= decision.launch <= limits.launch_batch
    assert decision.launch == 0 or len(workers) + decision.launch <= limits.max_instances
    assert not (decision.launch and decision.terminate)

    by_id = {worker.instance_id: worker for worker in workers}
    ended = [by_id[instance_id] for instance_id in decision.terminate]
    assert len(set(decision.terminate)) == len(ended)
    assert all(NOW - worker.launched_at >= limits.min_runtime for worker in ended)
    if ended:
        assert backlog.total == 0
        assert since is not None
        assert NOW - since >= limits.quiet_time
        assert len(workers) - len(ended) >= limits.min_instances

    steps = decision.launch + len(decision.terminate)
    assert steps or decision.reasons or decision.desired == len(workers)


@given(BACKLOGS, WORKERS, SINCE, CONFIGS)
def test_once_the_launches_are_seen_nothing_more_is_launched_beyond_desired(
    backlog: Backlog, workers: tuple[Worker, ...], since: datetime | None, limits: DecideConfig
) -> None:
    """Repeating the step with what it launched reaches the desired number and stays there."""
    for round_ in range(60):
        decision = decide(Observation(backlog, workers, since), limits, NOW)
        if not decision.launch:
            break
        workers += tuple(
            Worker(f"new-{round_}-{n}", "", WorkerState.PENDING, NOW)
            for n in range(decision.launch)
        )
    assert decision.launch == 0
    assert decision.desired is not None
    assert len(workers) >= decision.desired
