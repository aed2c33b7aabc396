"""Ticks: what is remembered between them, and by whom."""

from dataclasses import replace
from typing import Any, cast

import pytest

from faces.contracts.names import TAG_DRAIN, TAG_HOLD, TAG_LAUNCH
from scaler.model import Backlog, FleetConfig, Market, Reason
from scaler.state import BreakerState, Pool
from scaler.tick import run
from tests.unit.scaler.fake_ec2 import client_error, timed_out
from tests.unit.scaler.fake_world import NAMES, START, World


def test_a_burst_grows_by_batches_to_what_it_wants() -> None:
    world = World(FleetConfig(), Backlog(75, 0))
    sizes = []
    for _ in range(5):
        world.tick()
        sizes.append(world.existing())
        world.wait(5)
    assert sizes == [5, 10, 15, 15, 15]
    names = {each.tags["Name"] for each in world.ec2.existing()}
    assert names == {f"app-tier-instance-{n}" for n in range(1, 16)}


@pytest.mark.parametrize("show", [0.0, 12.0, 30.0])
def test_each_worker_gets_its_own_name_though_launches_are_shown_late(show: float) -> None:
    world = World(FleetConfig(), Backlog(50, 0))
    world.ec2.show = show
    for _ in range(12):
        world.tick()
        world.wait(5)
    names = sorted(each.tags.get("Name", "") for each in world.ec2.existing())
    assert names == sorted(f"app-tier-instance-{n}" for n in range(1, 11))
    calls = len(world.ec2.calls)
    world.tick()
    assert len(world.ec2.calls) == calls


def test_names_that_two_launches_share_are_parted() -> None:
    world = World(FleetConfig(max_instances=4), Backlog(20, 0))
    world.ec2.launch_elsewhere(4, NAMES.worker_tags("app-tier-instance-1"))
    world.tick()
    names = {each.tags["Name"] for each in world.ec2.existing()}
    assert names == {f"app-tier-instance-{n}" for n in range(1, 5)}


def test_a_cold_start_forgets_nothing() -> None:
    world = World(FleetConfig(), Backlog(75, 0))
    world.ec2.show = 30
    for _ in range(6):
        world.tick()
        world.wait(5)
        world.cold_start()
    assert world.existing() == 15


def test_a_launch_whose_answer_was_lost_is_not_made_twice() -> None:
    world = World(FleetConfig(), Backlog(5, 0))
    world.ec2.show = 30
    world.ec2.fail("create_fleet", timed_out(), after=True)
    record = world.tick()
    assert record.outcome.launch_unknown
    assert record.state.intent is not None
    world.cold_start()
    world.wait(6)
    again = world.tick()
    assert again.outcome.launched == tuple(world.ec2.machines)
    assert again.state.intent is None
    assert len(world.ec2.machines) == 1


def test_a_launch_without_an_answer_is_remembered_while_something_else_is_done() -> None:
    world = World(FleetConfig(max_instances=6), Backlog(30, 0))
    world.ec2.launch_elsewhere(1, NAMES.worker_tags("elsewhere"))
    world.ec2.show = 30
    world.ec2.fail("create_fleet", timed_out(), after=True)
    world.ec2.fail("create_tags", timed_out())
    assert world.tick().outcome.launch_unknown
    world.wait(1)
    backing_off = world.tick()  # and gives the name that is missing
    assert backing_off.decision.launch is None
    assert len(world.ec2.asked("create_tags")) == 2
    assert backing_off.state.intent is not None
    for _ in range(8):
        world.wait(5)
        world.tick()
    assert len(world.ec2.machines) == 6


def test_a_process_that_dies_in_a_launch_leaves_its_token() -> None:
    world = World(FleetConfig(), Backlog(5, 0))
    world.ec2.fail("create_fleet", cast(Any, KeyboardInterrupt()), after=True)
    with pytest.raises(KeyboardInterrupt):
        world.tick()
    world.cold_start()
    world.wait(5)
    world.tick()
    assert len(world.ec2.machines) == 1
    (machine,) = world.ec2.machines.values()
    assert machine.tags[TAG_LAUNCH] == world.ec2.asked("create_fleet")[0]["ClientToken"]


def test_draining_workers_are_rescued_when_load_returns() -> None:
    world = World(FleetConfig(min_runtime=10, quiet_time=5), Backlog(25, 0))
    world.tick()
    world.wait(20)
    world.backlog = Backlog(0, 0)
    world.tick()
    world.wait(10)
    assert len(world.tick().decision.drain) == 5
    assert all(TAG_DRAIN in each.tags for each in world.ec2.existing())
    world.wait(5)
    world.backlog = Backlog(25, 0)
    record = world.tick()
    assert Reason.RESCUED in record.decision.reasons
    assert not any(TAG_DRAIN in each.tags for each in world.ec2.existing())
    assert len(world.ec2.asked("create_fleet")) == 1


def test_warm_instances_are_stopped_and_started_again_clean() -> None:
    world = World(FleetConfig(min_runtime=10, quiet_time=5, warm_pool=3), Backlog(25, 0))
    world.tick()
    world.wait(20)
    world.backlog = Backlog(0, 0)
    for _ in range(6):
        world.tick()
        world.wait(5)
        world.workers_live()
    states = sorted(each.state for each in world.ec2.machines.values())
    assert states == ["stopped"] * 3 + ["terminated"] * 2
    world.backlog = Backlog(25, 0)
    world.tick()
    world.wait(5)
    record = world.tick()
    assert len(world.ec2.machines) == 7
    assert world.existing() == 5
    assert record.observation.fleet is not None
    assert len(record.observation.fleet.ready) == 5


def test_stopped_instances_without_capacity_do_not_keep_launches_back() -> None:
    world = World(FleetConfig(cool_off_seconds=600), Backlog(25, 0))
    where = ("on-demand", "g5.xlarge", "subnet-a")
    world.ec2.has_stopped(5, NAMES.worker_tags(""), where)
    world.ec2.capacity[where] = 0
    first = world.tick()
    assert ("on-demand", Pool("g5.xlarge", "subnet-a")) in first.outcome.capacity_errors
    assert first.state.cool_offs == {"on-demand/g5.xlarge/subnet-a": START + 600}
    for _ in range(10):
        world.wait(5)
        world.tick()
    assert len(world.ec2.asked("start_instances")) == 5
    assert world.existing() == 5


def test_without_spot_capacity_the_next_tick_asks_on_demand_until_the_memory_ends() -> None:
    pools = (Pool("g4dn.xlarge", "subnet-a"), Pool("g5.xlarge", "subnet-b"))
    markets = (Market.SPOT, Market.ON_DEMAND)
    config = FleetConfig(pools=pools, markets=markets, cool_off_seconds=60)
    world = World(config, Backlog(25, 0))
    world.ec2.capacity = {
        ("spot", *pool): number for pool, number in zip(pools, (1, 0), strict=True)
    }
    first = world.tick()
    assert len(first.outcome.launched) == 1
    assert first.outcome.capacity_errors == tuple(("spot", pool) for pool in pools)
    world.wait(5)
    world.tick()
    assert sorted(each.market for each in world.ec2.existing()) == ["on-demand"] * 4 + ["spot"]
    world.ec2.capacity.clear()
    world.backlog = Backlog(30, 0)
    world.wait(60)
    world.tick()
    assert [each.market for each in world.ec2.existing()].count("spot") == 2


def test_an_instance_that_does_not_boot_is_looked_at_twice_then_ended_and_replaced() -> None:
    world = World(FleetConfig(boot_deadline=100, max_instances=2), Backlog(5, 0))
    world.ec2.boot = 1e6
    world.tick()
    world.wait(101)
    first = world.tick()
    assert first.decision.suspect == ("i-0000",)
    assert Reason.BOOT_DEADLINE_PASSED in first.decision.reasons
    assert first.decision.terminate == ()
    # What does not come to work is no capacity, but it exists.
    assert first.decision.launches == 1
    world.cold_start()
    world.wait(29)
    assert world.tick().decision.terminate == ()
    world.wait(5)
    assert world.tick().decision.terminate == ("i-0000",)
    assert world.ec2.ended_by == {"i-0000": ["scaler"]}


def test_a_suspect_that_comes_to_work_after_all_is_not_ended() -> None:
    world = World(FleetConfig(boot_deadline=100, max_instances=2), Backlog(5, 0))
    world.ec2.boot = 110
    world.tick()
    world.wait(101)
    assert world.tick().decision.suspect == ("i-0000",)
    world.wait(10)
    record = world.tick()
    assert record.decision.cleared == ("i-0000",)
    world.wait(5)
    record = world.tick()
    assert record.observation.fleet is not None
    assert "i-0000" in {each.instance_id for each in record.observation.fleet.ready}


def test_a_worker_on_hold_outlasts_every_end_until_its_hold_expires() -> None:
    world = World(FleetConfig(min_runtime=10, quiet_time=5), Backlog(10, 0))
    world.tick()
    for machine in world.ec2.machines.values():
        machine.tags[TAG_HOLD] = f"{world.now + 300:.0f}"
        break
    world.backlog = Backlog(0, 0)
    for _ in range(20):
        world.wait(10)
        world.tick()
        world.workers_live()
    assert list(world.ec2.ended_by) == ["i-0001"]
    for _ in range(20):
        world.wait(10)
        world.tick()
        world.workers_live()
    assert world.existing() == 0


def test_measured_boots_and_throughput_are_learnt() -> None:
    world = World(FleetConfig(), Backlog(50, 0))
    world.ec2.boot = 38
    world.tick()
    for waiting in (50, 50, 50, 50, 50, 50, 50, 50, 40, 30):
        world.wait(5)
        world.backlog = Backlog(waiting, 0)
        record = world.tick()
    assert record.state.boot_seconds == pytest.approx(40, abs=6)
    assert 0 < record.state.throughput < 1
    assert record.state.usage.instance_seconds > 0
    assert record.state.usage.cost > 0
    assert record.state.usage.success_rate == 1


def test_a_tick_that_took_long_is_not_followed_by_a_hurry() -> None:
    now, starts = 0.0, []

    def tick() -> None:
        nonlocal now
        starts.append(now)
        now += 7 if len(starts) == 1 else 0.5

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    done = run(tick, ticks=4, tick_seconds=lambda: 5, monotonic=lambda: now, sleep=sleep)
    assert done == 4
    assert starts == [0, 7, 12, 17]


@pytest.mark.parametrize("show", [0.0, 30.0])
def test_a_budget_counts_what_ec2_does_not_show_yet(show: float) -> None:
    """Half an hour is six times the 300 s that an instance runs at least."""
    world = World(FleetConfig(budget_hours=0.5), Backlog(75, 0))
    world.ec2.show, world.ec2.boot = show, 100
    for _ in range(5):
        world.tick()
        world.wait(5)
    assert len(world.ec2.machines) <= 6


def test_a_changed_setting_counts_from_the_next_tick() -> None:
    world = World(FleetConfig(max_instances=2), Backlog(50, 0))
    world.tick()
    assert world.existing() == 2
    world.config = replace(world.config, max_instances=4)
    world.wait(5)
    world.tick()
    assert world.existing() == 4


def test_a_boot_between_two_ticks_is_noticed_and_closes_the_breaker() -> None:
    world = World(FleetConfig(breaker_seconds=60), Backlog(5, 0))
    world.ec2.fail("create_fleet", client_error("UnauthorizedOperation"))
    assert world.tick().state.breaker.state is BreakerState.OPEN
    world.wait(60)
    assert world.tick().decision.launches == 1
    world.wait(5)
    assert world.tick().state.breaker.state is BreakerState.CLOSED


def test_a_probe_that_booted_in_a_long_gap_between_ticks_has_not_failed() -> None:
    world = World(FleetConfig(breaker_seconds=60), Backlog(5, 0))
    world.ec2.fail("create_fleet", client_error("UnauthorizedOperation"))
    world.tick()
    world.wait(60)
    assert world.tick().decision.launches == 1
    world.wait(86_400)
    assert world.tick().state.breaker.state is BreakerState.CLOSED
