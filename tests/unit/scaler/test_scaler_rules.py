"""How many workers the rules `latency` and `flow` want."""

from dataclasses import replace

import pytest

from scaler.flow import flow_rule
from scaler.model import (
    Backlog,
    Fleet,
    Instance,
    Reason,
    Rule,
    ScaleIn,
)
from scaler.rules import Situation
from scaler.state import ControllerState
from tests.unit.scaler.steps import NOW, PLAIN, instances, step

# -- the rule `latency`: 120 s * 0.85 = 102 s, boot 40 s, one message a second
LATENCY = replace(
    PLAIN,
    rule=Rule.LATENCY,
    max_instances=100,
    initial_boot_seconds=40,
    initial_throughput=1.0,
    scale_in=ScaleIn.SURPLUS,
)


@pytest.mark.parametrize(
    ("waiting", "ready", "wanted"),
    [
        (1, 0, 1),
        (62, 0, 1),  # what one worker does in the 62 s after its boot
        (63, 0, 2),
        (102, 1, 1),
        (103, 1, 2),
        (1020, 10, 10),
        (1020, 12, 10),
    ],
)
def test_as_many_as_finish_the_backlog_within_the_target(
    waiting: int, ready: int, wanted: int
) -> None:
    fleet = Fleet(ready=instances(ready))
    state = ControllerState(level=waiting)
    assert step(waiting, fleet=fleet, config=LATENCY, state=state).wanted == wanted


def test_what_already_boots_is_counted_from_when_it_will_be_ready() -> None:
    fleet = Fleet(booting=[Instance("b", NOW - 30)])  # ready in 10 s
    assert step(92, fleet=fleet, config=LATENCY).wanted == 1
    assert step(93, fleet=fleet, config=LATENCY).wanted == 2


def test_messages_that_waited_leave_less_time() -> None:
    """100 messages that all came 30 s ago are due in 72 s, so a new worker has 32 s."""
    waited = ControllerState(level=100, samples=((NOW - 30, 100),))
    assert step(100, config=LATENCY, state=waited, oldest_age=31.0).wanted == 4
    assert step(100, config=LATENCY, state=ControllerState(level=100)).wanted == 2
    # The oldest came just now: what waited 30 s ago is done.
    assert step(100, config=LATENCY, state=waited, oldest_age=5.0).wanted == 2


def test_measured_boot_and_throughput_replace_the_first_guesses() -> None:
    state = ControllerState(level=100, boot_seconds=52, throughput=0.5)
    assert step(100, config=LATENCY, state=state).wanted == 4  # 100 / (0.5 * (102 - 52))


@pytest.mark.parametrize(
    ("visible", "load", "wanted"), [(240, 2.0, 14), (110, 2.0, 6), (40, 2.0, 2), (0, 0.5, 1)]
)
def test_the_flow_keeps_the_load_and_is_soon_through_with_a_burst(
    visible: int, load: float, wanted: int
) -> None:
    """One message a second each, 2 ready, a target of 120 s, 2 in flight.

    240 s of work: 2 + 240 / 120 + (240 - 40) / 20 = 14. 110 s: 6.4, and as 0.8
    of a worker may be missing, 6. 40 s: 2.3, so the two are enough. Of two that only half a
    worker's load needs, one is left.
    """
    config = replace(LATENCY, rule=Rule.FLOW)
    state = ControllerState(load=load, level=visible)
    fleet = Fleet(ready=instances(2))
    seen = Situation(Backlog(visible, 2), fleet, 0, state, None, config, NOW)
    assert flow_rule(seen).number == wanted


@pytest.mark.parametrize(
    ("grown", "looked", "wanted"), [(45, 15, 8), (30, 15, 2), (45, 45, 2)], ids=str
)
def test_a_surge_is_answered_before_its_queue_has_built_up(
    grown: int, looked: int, wanted: int
) -> None:
    """One message a second each and one worker's load: chance explains up to 3.5 workers' arrivals.

    45 more in 15 s are 3 workers' and the busy one: 4 + 48 / 12 = 8. 30 more are chance: 1 +
    33 / 120 + (33 - 20) / 20 = 1.9. So are 45 where nobody looked for 45 s: 1 + 0.4 + 1.4.
    """
    config = replace(LATENCY, rule=Rule.FLOW)
    samples = ((NOW - looked, 4), (NOW, grown + 4))
    state = ControllerState(load=1.0, level=grown, samples=samples)
    backlog = Backlog(grown + 3, 1)
    seen = Situation(backlog, Fleet(instances(1)), 0, state, None, config, NOW)
    assert flow_rule(seen).number == wanted


@pytest.mark.parametrize(("visible", "wanted"), [(121, 10), (60, 5), (24, 2), (0, 1)])
def test_at_the_end_of_a_burst_nobody_stays_for_what_others_do_in_time(
    visible: int, wanted: int
) -> None:
    """Ten workers, one message a second each, 12 s for what waits; no load that lasts."""
    config = replace(LATENCY, rule=Rule.FLOW)
    state = ControllerState(load=0.0, level=visible + 10)
    fleet = Fleet(ready=instances(10))
    want = flow_rule(Situation(Backlog(visible, 10), fleet, 0, state, None, config, NOW))
    assert (want.number, want.lasting) == (wanted, 1)


def test_a_burst_that_passed_is_not_held_by_the_scale_in_window() -> None:
    config = replace(PLAIN, rule=Rule.FLOW, scale_in=ScaleIn.SURPLUS, initial_throughput=1.0)
    fleet = Fleet(ready=instances(10))
    first = step(200, 10, fleet, config)
    assert first.desired == 10
    assert step(0, 10, fleet, config, replace(first.state, level=10)).drain != ()


def test_a_target_below_the_boot_time_is_said_and_met_as_well_as_can_be() -> None:
    state = ControllerState(level=100, boot_seconds=200)
    decision = step(100, config=LATENCY, state=state)
    assert Reason.TARGET_BELOW_BOOT_TIME in decision.reasons
    assert decision.wanted == 1  # 200 s after the boot
