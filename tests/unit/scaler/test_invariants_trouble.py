"""Invariants 8, 10 and 12: capacity errors, the one writer, the breaker."""

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces.contracts.names import TAG_LAUNCH
from scaler.executor import Executor
from scaler.model import Backlog, Decision, Fleet, FleetConfig
from scaler.state import BreakerState, ControllerState, LaunchIntent
from scaler.store import STATE_KEY, LeaseHeldError, StateStore
from scaler.tick import LAST_CALL_SECONDS, LAST_START_SECONDS, run
from tests.unit.scaler.fake_ec2 import FakeEc2
from tests.unit.scaler.fake_world import NAMES, START, FakeS3
from tests.unit.scaler.sequences import (
    CAPACITY,
    CONFIGS,
    HABITS,
    POOLS,
    STEPS,
    Step,
    happen,
    sequences,
    world_of,
)

pytestmark = pytest.mark.usefixtures("silence")

# Seconds to connect and to be answered, once: the client's of the Lambda function.
LONGEST_CALL = 7.0


@sequences
@given(CONFIGS, HABITS, CAPACITY, STEPS)
def test_invariant_08_a_pool_in_cool_off_is_not_asked_before_its_time(
    config: FleetConfig, habits: dict[str, float], capacity: dict[Any, int], steps: list[Step]
) -> None:
    world = world_of(config, habits, capacity)
    last_refusal: dict[tuple[str, str, str], float] = {}
    for step in steps:
        # An answer that is lost teaches nothing about its pools.
        fault = step.fault if step.fault and step.fault[0] != "create_fleet" else None
        happen(world, replace(step, fault=fault))
        calls, refusals = len(world.ec2.calls), len(world.ec2.refused)
        world.tick()
        for name, asked in world.ec2.calls[calls:]:
            if name == "start_instances":
                (machine,) = (world.ec2.machines[each] for each in asked["InstanceIds"])
                pool = (machine.market, machine.instance_type, machine.subnet)
                until = last_refusal.get(pool, 0) + config.cool_off_seconds
                assert pool not in last_refusal or world.now >= until
            if name != "create_fleet":
                continue
            market = asked["TargetCapacitySpecification"]["DefaultTargetCapacityType"]
            for override in asked["LaunchTemplateConfigs"][0]["Overrides"]:
                pool = (market, override["InstanceType"], override["SubnetId"])
                until = last_refusal.get(pool, 0) + config.cool_off_seconds
                assert pool not in last_refusal or world.now >= until
        last_refusal.update({pool: at for at, pool in world.ec2.refused[refusals:]})


@sequences
@given(CONFIGS, HABITS, CAPACITY, STEPS)
def test_a_token_belongs_to_one_launch_and_its_arguments(
    config: FleetConfig, habits: dict[str, float], capacity: dict[Any, int], steps: list[Step]
) -> None:
    world = world_of(config, habits, capacity)
    for step in steps:
        happen(world, step)
        world.tick()
    asked: dict[str, list[Any]] = {}
    for each in world.ec2.asked("create_fleet"):
        asked.setdefault(each["ClientToken"], []).append(each)
    for again in asked.values():
        assert all(each == again[0] for each in again)
    made = [
        each.tags[TAG_LAUNCH] for each in world.ec2.machines.values() if TAG_LAUNCH in each.tags
    ]
    for token, (first, *_) in asked.items():
        assert made.count(token) <= first["TargetCapacitySpecification"]["TotalTargetCapacity"]


@sequences
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([1.0, 20.0, 61.0]), st.booleans()),
        max_size=40,
    )
)
def test_invariant_10_at_most_one_controller_holds_the_lease(
    turns: list[tuple[int, float, bool]],
) -> None:
    """Whatever the order, and though answers get lost, two never write one after the other's
    valid lease."""
    s3 = FakeS3()
    stores = [StateStore(cast(Any, s3), "bucket", f"holder-{n}") for n in range(3)]
    holding: dict[int, float] = {}
    now = START
    for who, wait, lost in turns:
        now += wait
        if lost:
            s3.lost_answers.append(None)
        others = {each: until for each, until in holding.items() if each != who and until > now}
        try:
            if who in holding:
                stores[who].save(ControllerState(), now)
            else:
                stores[who].open(now)
        except LeaseHeldError:
            holding.pop(who, None)
            continue
        assert not others
        holding = {who: now + 60}
        assert s3.document(STATE_KEY)["lease"]["holder"] == f"holder-{who}"


@given(
    st.lists(st.floats(0, 12), min_size=1, max_size=80),
    st.floats(0.5, 60),
)
def test_invariant_10_the_last_tick_starts_well_before_the_next_invocation(
    lengths: list[float], every: float
) -> None:
    now = 1000.0
    starts: list[float] = []
    waiting = iter(lengths)

    def tick() -> None:
        nonlocal now
        starts.append(now - 1000)
        now += next(waiting, 0.1)

    def sleep(seconds: float) -> None:
        nonlocal now
        assert seconds >= 0
        now += seconds

    run(tick, ticks=None, tick_seconds=lambda: every, monotonic=lambda: now, sleep=sleep)
    assert starts[-1] <= LAST_START_SECONDS


@given(
    st.floats(0, LAST_START_SECONDS + 9),
    st.lists(st.floats(0, LONGEST_CALL), min_size=20, max_size=20),
)
def test_invariant_10_no_call_to_ec2_reaches_the_next_invocation(
    begins: float, lengths: list[float]
) -> None:
    now = START + begins
    waiting = iter(lengths)

    class Slow:
        def __init__(self, ec2: FakeEc2) -> None:
            self._ec2 = ec2

        def __getattr__(self, name: str) -> Any:
            def call(*args: Any, **more: Any) -> Any:
                nonlocal now
                assert now < START + LAST_CALL_SECONDS
                now += next(waiting)
                assert now <= START + 60
                return getattr(self._ec2, name)(*args, **more)

            return call

    ec2 = FakeEc2(clock=lambda: now)
    ec2.launch_elsewhere(6, NAMES.worker_tags(""))
    ids = [(each,) for each in ec2.machines]
    decision = Decision(
        9,
        ControllerState(),
        launch=LaunchIntent("token", 3, "on-demand", POOLS, START - 5),
        rescue=ids[0],
        cleared=ids[0],
        start=ids[1],
        drain=ids[2],
        suspect=ids[3],
        keep=ids[4],
        terminate=ids[5],
        stop=ids[2],
    )
    executor = Executor(
        cast(Any, Slow(ec2)), NAMES, in_time=lambda: now - START < LAST_CALL_SECONDS
    )
    executor.carry_out(decision, Fleet(), FleetConfig(), now)


@sequences
@given(
    st.integers(1, 5),
    st.sampled_from([0.0, 30.0]),
    st.lists(
        st.tuples(st.sampled_from([1.0, 5.0, 15.0]), st.booleans(), st.booleans()),
        min_size=4,
        max_size=20,
    ),
)
def test_invariant_12_a_boot_timeout_counts_for_the_breaker_an_unseen_launch_does_not(
    number: int, show: float, waits: list[tuple[float, bool, bool]]
) -> None:
    config = FleetConfig(boot_deadline=100, breaker_failures=number, max_instances=number)
    world = world_of(config, {"show": show, "boot": 1e6})
    world.backlog = Backlog(number * 5, 0)
    world.tick()
    for wait, cold, blind in waits:
        if world.now + wait - START >= 100:
            break
        world.wait(wait)
        world.blind = blind
        if cold:
            world.cold_start()
        assert world.tick().state.breaker.failures == 0
    world.blind = False
    assert world.existing() == number
    world.now = START + 102
    record = world.tick()
    assert set(record.decision.suspect) == set(world.ec2.machines)
    assert record.state.breaker.failures == number
    assert record.state.breaker.state is BreakerState.OPEN
    assert record.state.usage.boot_failures == number
