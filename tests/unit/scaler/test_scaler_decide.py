"""How many workers a backlog wants, and the step towards them."""

from dataclasses import replace

import pytest

from scaler.decide import decide
from scaler.model import (
    Backlog,
    Fleet,
    Instance,
    Market,
    Observation,
    Pool,
    Reason,
    ScaleIn,
)
from scaler.outcome import Outcome, absorb
from scaler.state import Breaker, BreakerState, ControllerState, LaunchIntent, Usage
from tests.unit.scaler.steps import NOW, PLAIN, instances, step

DAY = int(NOW // 86_400)
QUIET = ControllerState(quiet_since=NOW - 60, ticked_at=NOW - 5)


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
    again = absorb(decision, Outcome(started=decision.start, launched=("n",)), PLAIN, NOW)
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
    probing = absorb(probe, Outcome(launched=("probe",)), PLAIN, NOW)
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
