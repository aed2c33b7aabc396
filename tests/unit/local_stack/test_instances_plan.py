"""Which worker processes are started, stopped and given up for what EC2 says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_stack.instances import LIVE_STATES, Action, Do, Marks, Phase, Worker, plan, read_marks

STATES = ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]


def decide(
    observed: dict[str, str] | None,
    workers: dict[str, Worker],
    marks: dict[str, Marks] | None = None,
) -> list[Action]:
    return plan(observed, workers, 100.0, boot_seconds=3, grace_seconds=20, marks=marks or {})


@pytest.mark.parametrize("state", sorted(LIVE_STATES))
def test_a_new_instance_boots(state: str) -> None:
    assert decide({"i-1": state}, {}) == [Action(Do.BOOT, "i-1")]


@pytest.mark.parametrize("state", sorted(set(STATES) - LIVE_STATES))
def test_an_instance_that_is_gone_when_first_seen_is_left_alone(state: str) -> None:
    assert decide({"i-1": state}, {}) == []


@pytest.mark.parametrize(
    ("since", "state", "expected"),
    [
        (97.5, "running", []),
        (97.0, "running", [Action(Do.START, "i-1")]),
        (90.0, "pending", []),
        (97.5, "terminated", [Action(Do.FORGET, "i-1")]),
        (90.0, "stopped", [Action(Do.FORGET, "i-1")]),
    ],
)
def test_a_booting_worker_starts_after_the_delay_on_a_running_instance(
    since: float, state: str, expected: list[Action]
) -> None:
    assert decide({"i-1": state}, {"i-1": Worker(Phase.BOOTING, since)}) == expected


@pytest.mark.parametrize("state", sorted(set(STATES) - LIVE_STATES))
def test_a_worker_whose_instance_ends_is_asked_to_stop(state: str) -> None:
    workers = {"i-1": Worker(Phase.RUNNING, 0)}
    assert decide({"i-1": state}, workers) == [Action(Do.ASK_TO_STOP, "i-1")]


def test_an_instance_that_ec2_no_longer_lists_is_gone() -> None:
    assert decide({}, {"i-1": Worker(Phase.RUNNING, 0)}) == [Action(Do.ASK_TO_STOP, "i-1")]


@pytest.mark.parametrize(("since", "expected"), [(81.0, []), (80.0, [Action(Do.KILL, "i-1")])])
def test_a_worker_that_does_not_stop_is_killed(since: float, expected: list[Action]) -> None:
    workers = {"i-1": Worker(Phase.STOPPING, since)}
    assert decide({"i-1": "terminated"}, workers) == expected
    assert decide(None, workers) == expected


def test_the_instance_of_a_worker_that_ended_is_terminated_once_then_forgotten() -> None:
    workers = {"i-1": Worker(Phase.ENDED, 99)}
    assert decide({"i-1": "running"}, workers) == [Action(Do.TERMINATE_INSTANCE, "i-1")]
    assert decide({"i-1": "shutting-down"}, workers) == [Action(Do.FORGET, "i-1")]


phases = st.builds(Worker, st.sampled_from(Phase), st.floats(0, 100))
ids = st.sampled_from(["i-1", "i-2", "i-3"])


@given(st.dictionaries(ids, phases))
def test_while_ec2_does_not_answer_only_overdue_workers_are_killed(
    workers: dict[str, Worker],
) -> None:
    for action in decide(None, workers):
        worker = workers[action.instance_id]
        assert action.do is Do.KILL
        assert worker.phase is Phase.STOPPING


marks = st.builds(Marks, st.booleans(), st.booleans(), st.booleans())


@given(
    st.dictionaries(ids, st.sampled_from(STATES)),
    st.dictionaries(ids, phases),
    st.dictionaries(ids, marks),
)
def test_each_instance_gets_at_most_one_action_that_fits_it(
    observed: dict[str, str], workers: dict[str, Worker], marked: dict[str, Marks]
) -> None:
    actions = decide(observed, workers, marked)
    touched = [action.instance_id for action in actions]
    assert len(touched) == len(set(touched))
    for action in actions:
        live = observed.get(action.instance_id) in LIVE_STATES
        if action.do in (Do.BOOT, Do.START, Do.TERMINATE_INSTANCE, Do.DRAIN, Do.CONFIRM_DRAIN):
            assert live
        elif action.do is Do.ASK_TO_STOP:
            assert not live
        elif action.do is Do.FORGET and live:
            # The instance stays and gets a worker again.
            seen = marked.get(action.instance_id, Marks())
            phase = workers[action.instance_id].phase
            assert (phase is Phase.ENDED and seen.keep) or (
                phase is Phase.DRAINED and not seen.drain and not seen.drained
            )


def drained(phase: Phase, marked: Marks, state: str = "running") -> list[Do]:
    workers = {"i-1": Worker(phase, 0)}
    return [action.do for action in decide({"i-1": state}, workers, {"i-1": marked})]


def test_a_claimed_worker_finishes_and_its_end_is_confirmed_not_its_instance_ended() -> None:
    assert drained(Phase.RUNNING, Marks(drain=True)) == [Do.DRAIN]
    assert drained(Phase.DRAINING, Marks(drain=True)) == []
    assert drained(Phase.DRAINED, Marks(drain=True)) == [Do.CONFIRM_DRAIN]
    assert drained(Phase.DRAINED, Marks(drain=True, drained=True)) == []
    assert drained(Phase.DRAINED, Marks(drain=True, drained=True), "terminated") == [Do.FORGET]


def test_a_worker_whose_claim_was_taken_back_begins_anew() -> None:
    assert drained(Phase.DRAINED, Marks()) == [Do.FORGET]
    assert decide({"i-1": "running"}, {}) == [Action(Do.BOOT, "i-1")]


def test_the_instance_of_an_idle_worker_that_is_to_be_kept_is_not_terminated() -> None:
    assert drained(Phase.ENDED, Marks(keep=True)) == [Do.FORGET]
    assert drained(Phase.ENDED, Marks()) == [Do.TERMINATE_INSTANCE]
    crashed = {"i-1": Worker(Phase.ENDED, 0, failed=True)}
    kept = {"i-1": Marks(keep=True)}
    assert decide({"i-1": "running"}, crashed, kept) == [Action(Do.TERMINATE_INSTANCE, "i-1")]


def test_the_instance_of_a_worker_that_failed_is_terminated_even_if_it_is_to_be_kept() -> None:
    workers = {"i-1": Worker(Phase.ENDED, 0, failed=True)}
    actions = decide({"i-1": "running"}, workers, {"i-1": Marks(keep=True)})
    assert actions == [Action(Do.TERMINATE_INSTANCE, "i-1")]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, Marks()),
        ({"faces:drain": "99999999999"}, Marks(drain=True)),
        ({"faces:drain": "1"}, Marks()),
        ({"faces:drain": "soon"}, Marks()),
        ({"faces:keep": "99999999999", "faces:drained": "1"}, Marks(keep=True, drained=True)),
    ],
)
def test_a_mark_counts_until_it_expires(tags: dict[str, str], expected: Marks) -> None:
    assert read_marks(tags) == expected
