"""How many workers a backlog wants, and the step towards them."""

from dataclasses import replace
from typing import Any

import pytest

from scaler.decide import decide
from scaler.flow import flow_rule
from scaler.model import (
    Backlog,
    Decision,
    Fleet,
    FleetConfig,
    Instance,
    Market,
    Observation,
    Pool,
    Reason,
    Rule,
    ScaleIn,
)
from scaler.outcome import Outcome, absorb
from scaler.rules import Situation
from scaler.state import Breaker, BreakerState, ControllerState, LaunchIntent, Usage

NOW = 1_767_322_800.0
DAY = int(NOW // 86_400)
QUIET = ControllerState(quiet_since=NOW - 60, ticked_at=NOW - 5)
PLAIN = FleetConfig()


def instances(number: int, age: float = 3600, prefix: str = "i", **more: Any) -> list[Instance]:
    return [Instance(f"{prefix}-{n:02}", NOW - age - n, **more) for n in range(1, number + 1)]


def step(
    visible: int,
    in_flight: int = 0,
    fleet: Fleet | None = None,
    config: FleetConfig = PLAIN,
    state: ControllerState | None = None,
    **more: Any,
) -> Decision:
    # What is far above the last reading must be seen twice; here it was.
    known = state or ControllerState(level=visible + in_flight)
    seen = Observation(Backlog(visible, in_flight), fleet or Fleet(), known, NOW, **more)
    return decide(seen, config, NOW)


@pytest.mark.parametrize(
    ("visible", "in_flight", "desired"),
    [(0, 0, 0), (1, 0, 1), (5, 0, 1), (6, 0, 2), (3, 3, 2), (0, 1, 1), (74, 0, 15), (99, 0, 15)],
)
def test_one_worker_for_each_five_messages(visible: int, in_flight: int, desired: int) -> None:
    decision = step(visible, in_flight)
    assert (decision.desired, decision.launches) == (desired, min(desired, 5))


def test_the_worked_example() -> None:
    fleet = Fleet(
        ready=instances(2),
        booting=instances(3, age=10, prefix="b"),
        draining=instances(1, prefix="d", drain_until=NOW + 100),
    )
    decision = step(100, 8, fleet)
    assert (decision.wanted, decision.desired, decision.capacity) == (22, 15, 5)
    assert decision.rescue == ("d-01",)
    assert decision.launches == 5
    assert decision.reasons == (
        Reason.HELD_TO_MAXIMUM,
        Reason.RESCUED,
        Reason.HELD_TO_LAUNCH_BATCH,
    )


def test_booting_and_unseen_workers_are_capacity() -> None:
    booting = Fleet(booting=instances(5, age=10))
    assert step(25, fleet=booting).launch is None
    unseen = ControllerState(level=26, launched={"i-9": NOW - 3})
    assert step(26, fleet=booting, state=unseen).launch is None
    assert step(31, fleet=booting, state=replace(unseen, level=31)).launches == 1


def test_the_room_below_the_maximum_is_less_what_ec2_does_not_show_yet() -> None:
    """5 are leaving and 3 were launched unseen: of 10 that may exist 2 are left."""
    config = replace(PLAIN, max_instances=10)
    unseen = ControllerState(level=50, launched={f"i-{n}": NOW - 3 for n in range(3)})
    decision = step(50, fleet=Fleet(leaving=5), config=config, state=unseen)
    assert decision.launches == 2
    assert Reason.HELD_TO_MAXIMUM in decision.reasons


def test_a_launch_that_ec2_never_shows_is_forgotten_in_time() -> None:
    lost = ControllerState(level=5, launched={"i-9": NOW - 61})
    assert step(5, state=lost).launches == 1


def test_a_spike_is_believed_when_it_is_seen_twice() -> None:
    first = step(10_000, config=replace(PLAIN, max_instances=500), state=ControllerState(level=4))
    assert Reason.SPIKE_UNCONFIRMED in first.reasons
    assert first.desired == 10
    second = step(
        10_000, config=replace(PLAIN, max_instances=500), state=replace(first.state, intent=None)
    )
    assert second.desired == 500


def test_idle_workers_are_claimed_when_the_queue_stayed_empty() -> None:
    decision = step(0, fleet=Fleet(ready=instances(3)), state=QUIET)
    assert decision.drain == ("i-03", "i-02", "i-01")
    assert not decision.terminate


def test_on_demand_goes_before_spot_and_the_minimum_stays() -> None:
    ready = [*instances(2, market=Market.SPOT), *instances(2, age=400, prefix="dear")]
    config = replace(PLAIN, min_instances=1)
    decision = step(0, fleet=Fleet(ready=ready), config=config, state=QUIET)
    assert decision.drain == ("dear-02", "dear-01", "i-02")
    assert decision.keep == ("i-01",)


@pytest.mark.parametrize("since", [0, NOW, NOW - 14.9])
def test_a_queue_that_is_empty_for_a_moment_ends_nobody(since: float) -> None:
    decision = step(0, fleet=Fleet(ready=instances(3)), state=replace(QUIET, quiet_since=since))
    assert (decision.drain, decision.reasons) == ((), (Reason.NOT_YET_QUIET,))


def test_nobody_is_claimed_while_there_is_work() -> None:
    decision = step(3, 2, Fleet(ready=instances(9)))
    assert (decision.drain, decision.reasons) == ((), (Reason.STILL_WORKING,))


def test_a_surplus_is_given_up_under_load_when_that_is_set() -> None:
    config = replace(PLAIN, scale_in=ScaleIn.SURPLUS)
    fleet = Fleet(ready=instances(9))
    assert len(step(3, 2, fleet, config).drain) == 8
    wanted_before = ControllerState(level=5, wants=((NOW - 60, 7),))
    assert len(step(3, 2, fleet, config, wanted_before).drain) == 2


def test_each_limit_of_a_launch_is_named() -> None:
    config = replace(PLAIN, max_instances=8, launch_batch=5, scale_out_cooldown=60)
    state = ControllerState(level=200, scaled_out_at=NOW - 9, backoff_until=NOW + 9)
    decision = step(200, fleet=Fleet(leaving=6), config=config, state=state)
    assert decision.launch is None
    assert decision.reasons == (
        Reason.HELD_TO_MAXIMUM,  # of what is desired
        Reason.HELD_TO_MAXIMUM,  # of what may exist
        Reason.HELD_TO_LAUNCH_BATCH,
        Reason.BACKING_OFF,
        Reason.SCALE_OUT_COOLDOWN,
    )


def test_what_keeps_a_surplus_is_named() -> None:
    config = replace(PLAIN, scale_in=ScaleIn.SURPLUS)
    wanted = ControllerState(level=5, wants=((NOW - 60, 9),))
    held = step(3, 2, Fleet(ready=instances(9)), config, wanted)
    assert (held.drain, held.reasons) == ((), (Reason.SCALE_IN_WINDOW,))
    booting = instances(3, age=10, prefix="b")
    last = step(0, 2, Fleet(ready=instances(1), booting=booting), config)
    assert (last.drain, last.reasons) == ((), (Reason.LAST_WORKER_KEPT,))


def test_the_last_ready_worker_stays_while_there_is_work_though_others_boot() -> None:
    config = replace(PLAIN, scale_in=ScaleIn.SURPLUS)
    fleet = Fleet(ready=instances(1), booting=instances(3, age=10, prefix="b"))
    assert step(0, 2, fleet, config).drain == ()


def test_young_and_held_workers_stay() -> None:
    young = Fleet(ready=[*instances(1), *instances(2, age=100, prefix="young")])
    decision = step(0, fleet=young, state=QUIET)
    assert decision.drain == ("i-01",)
    assert decision.reasons == (Reason.YOUNGER_THAN_MIN_RUNTIME,)
    held = Fleet(ready=[*instances(1), *instances(1, prefix="held", hold_until=NOW + 9)])
    decision = step(0, fleet=held, state=QUIET)
    assert (decision.drain, decision.reasons) == (("i-01",), (Reason.HELD_BY_TAG,))
    over = Fleet(ready=instances(1, hold_until=NOW - 1))
    assert step(0, fleet=over, state=QUIET).drain == ("i-01",)


def test_a_confirmed_drain_is_ended_and_an_expired_claim_is_released() -> None:
    fleet = Fleet(
        draining=[
            Instance("confirmed", NOW - 900, drain_until=NOW + 100, drained=True),
            Instance("working", NOW - 900, drain_until=NOW + 100),
            Instance("late", NOW - 900, drain_until=NOW + 10),
            Instance("expired", NOW - 900, drain_until=NOW - 1),
            Instance("forgotten", NOW - 900, drain_until=NOW - 1, drained=True),
        ]
    )
    decision = step(0, fleet=fleet, state=QUIET)
    assert decision.terminate == ("confirmed",)
    assert decision.rescue == ("expired",)
    assert decision.suspect == ("late", "forgotten")
    assert Reason.DRAIN_UNCONFIRMED in decision.reasons


def test_a_suspect_is_looked_at_again_before_it_is_ended() -> None:
    fleet = Fleet(
        suspect=[
            Instance("alive", NOW - 900, orphan_at=NOW - 60, ready=True),
            Instance("dead", NOW - 900, orphan_at=NOW - 60),
            Instance("new", NOW - 900, orphan_at=NOW - 5),
            Instance("held", NOW - 900, orphan_at=NOW - 60, hold_until=NOW + 60),
        ]
    )
    decision = step(0, fleet=fleet, state=QUIET)
    assert (decision.cleared, decision.terminate) == (("alive",), ("dead",))


def test_stopped_instances_are_started_before_new_ones_are_launched() -> None:
    fleet = Fleet(stopped=instances(2, prefix="warm"))
    decision = step(20, fleet=fleet)
    assert (decision.start, decision.launches) == (("warm-01", "warm-02"), 2)
    # A start that EC2 does not show yet is not asked for again.
    again = absorb(decision.state, Outcome(started=decision.start, launched=("n",)), PLAIN, NOW)
    assert step(15, fleet=fleet, state=again).start == ()


@pytest.mark.parametrize("refused", ["g5/a", "g5/", "/a", "/"])
def test_a_stopped_instance_of_a_pool_that_refused_lately_is_not_started(refused: str) -> None:
    warm = [
        Instance("cold", NOW - 900, pool=Pool("g5", "a")),
        Instance("warm", NOW - 900, pool=Pool("g4", "b")),
    ]
    cool = {f"on-demand/{refused}": NOW + 9}
    state = ControllerState(level=10, cool_offs=cool)
    config = replace(PLAIN, pools=(Pool("g5", "a"), Pool("g6", "c")))
    decision = step(10, fleet=Fleet(stopped=warm), state=state, config=config)
    assert "cold" not in decision.start
    assert len(decision.start) + decision.launches == 2
    over = replace(state, cool_offs={f"on-demand/{refused}": NOW})
    assert step(10, fleet=Fleet(stopped=warm), state=over, config=config).start == ("cold", "warm")


def test_confirmed_drains_fill_the_warm_pool_first() -> None:
    done = instances(3, drain_until=NOW + 100, drained=True)
    spot = instances(1, prefix="spot", drain_until=NOW + 100, drained=True, market=Market.SPOT)
    config = replace(PLAIN, warm_pool=2)
    decision = step(0, fleet=Fleet(draining=[*spot, *done]), config=config, state=QUIET)
    assert decision.stop == ("i-01", "i-02")
    assert decision.terminate == ("spot-01", "i-03")


def test_pools_are_asked_in_the_first_market_that_has_one_left() -> None:
    pools = (Pool("g5", "a"), Pool("g4", "a"))
    config = replace(PLAIN, pools=pools, markets=(Market.SPOT, Market.ON_DEMAND))
    first = step(5, config=config)
    assert first.launch is not None
    assert (first.launch.market, first.launch.pools) == ("spot", pools)
    cool = {"spot/g5/a": NOW + 9, "spot/g4/a": NOW + 9, "on-demand/g5/a": NOW + 9}
    then = step(5, config=config, state=ControllerState(level=5, cool_offs=cool))
    assert then.launch is not None
    assert (then.launch.market, then.launch.pools) == ("on-demand", (Pool("g4", "a"),))
    cool["on-demand/g4/a"] = NOW + 1
    none = step(5, config=config, state=ControllerState(level=5, cool_offs=cool))
    assert none.launch is None
    assert Reason.NO_POOL_LEFT in none.reasons


def test_a_launch_without_an_answer_is_asked_for_again_as_it_was() -> None:
    intent = LaunchIntent("token", 3, "on-demand", (Pool("", ""),), NOW - 5)
    state = ControllerState(level=30, intent=intent)
    decision = step(30, state=state)
    assert decision.launch == intent
    assert Reason.FINISHING_EARLIER_LAUNCH in decision.reasons
    old = replace(state, intent=replace(intent, at=NOW - 121))
    assert step(30, state=old).launches == 5


def test_an_open_breaker_launches_nothing_and_probes_with_one() -> None:
    broken = ControllerState(
        level=50, breaker=Breaker(BreakerState.OPEN, 5, until=NOW + 10, wait=60)
    )
    decision = step(50, state=broken)
    assert decision.launch is None
    assert Reason.BREAKER_OPEN in decision.reasons
    due = replace(broken, breaker=replace(broken.breaker, until=NOW))
    probe = step(50, state=due)
    assert probe.launches == 1
    assert Reason.BREAKER_PROBES in probe.reasons
    probing = absorb(probe.state, Outcome(launched=("probe",)), PLAIN, NOW)
    assert step(50, state=probing).launch is None
    assert step(50, state=probing, booted=(30.0,)).launches == 5


def test_growing_dead_letters_stop_the_growth() -> None:
    state = ControllerState(level=50, dead_level=0)
    seen = Observation(Backlog(50, 0, dead=25), Fleet(ready=instances(2)), state, NOW)
    decision = decide(seen, PLAIN, NOW)
    assert (decision.desired, decision.launch) == (2, None)
    assert Reason.DEAD_LETTERS_GROW in decision.reasons


def test_a_budget_limits_launches_and_then_ends_all_but_the_last_worker() -> None:
    config = replace(PLAIN, budget_hours=1.0)
    almost = ControllerState(level=50, usage=Usage(DAY, instance_seconds=3600 - 2 * 300))
    decision = step(50, config=config, state=almost)
    assert decision.launches == 2
    assert Reason.BUDGET_LIMITS_LAUNCH in decision.reasons
    spent = replace(almost, usage=Usage(DAY, instance_seconds=3600))
    fleet = Fleet(ready=instances(3, age=10))
    decision = step(40, 10, fleet, config, spent)
    assert (decision.desired, len(decision.drain)) == (1, 2)
    assert Reason.BUDGET_SPENT in decision.reasons
    tomorrow = replace(spent, usage=Usage(DAY - 1, instance_seconds=3600))
    assert step(50, config=config, state=tomorrow).launches == 5


def test_a_sudden_loss_of_capacity_is_no_reason_to_scale_in() -> None:
    config = replace(PLAIN, scale_in=ScaleIn.SURPLUS)
    before = ControllerState(level=5, capacity=12)
    decision = step(5, fleet=Fleet(ready=instances(6)), config=config, state=before)
    assert (decision.drain, decision.reasons) == ((), (Reason.CAPACITY_WAS_LOST,))
    later = replace(before, capacity=6, lost_at=NOW - 301)
    assert decision.state.lost_at == NOW
    assert step(5, fleet=Fleet(ready=instances(6)), config=config, state=later).drain


def test_a_pause_holds_until_it_expires() -> None:
    paused = replace(PLAIN, pause_until=NOW + 1)
    assert step(50, config=paused).reasons == (Reason.PAUSED,)
    assert not step(50, config=paused).acts
    assert step(50, config=replace(PLAIN, pause_until=NOW)).launches == 5


def test_a_dry_run_decides_and_remembers_nothing_as_done() -> None:
    decision = step(50, config=replace(PLAIN, dry_run=True))
    assert decision.launches == 5
    assert Reason.DRY_RUN in decision.reasons
    assert (decision.state.intent, decision.state.sequence) == (None, 0)


def test_cooldowns_hold() -> None:
    config = replace(PLAIN, scale_out_cooldown=60, scale_in_cooldown=60)
    state = ControllerState(level=50, scaled_out_at=NOW - 59)
    assert Reason.SCALE_OUT_COOLDOWN in step(50, config=config, state=state).reasons
    state = replace(QUIET, scaled_in_at=NOW - 59)
    fleet = Fleet(ready=instances(1))
    decision = step(0, fleet=fleet, config=config, state=state)
    assert decision.reasons == (Reason.SCALE_IN_COOLDOWN,)


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
