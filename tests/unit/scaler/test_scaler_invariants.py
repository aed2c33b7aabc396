"""The controller's invariants, on sequences of ticks in which everything fails at times."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faces.contracts.names import (
    TAG_DRAIN,
    TAG_DRAINED,
    TAG_KEEP,
    TAG_LAUNCH,
    TAG_ORPHAN,
)
from scaler.decide import decide
from scaler.executor import Executor
from scaler.model import (
    Backlog,
    Decision,
    Fleet,
    FleetConfig,
    Instance,
    Market,
    Observation,
    Pool,
    Rule,
    ScaleIn,
)
from scaler.outcome import Outcome, absorb
from scaler.state import BreakerState, ControllerState, LaunchIntent
from scaler.store import STATE_KEY, LeaseHeldError, StateStore
from scaler.tick import LAST_CALL_SECONDS, LAST_START_SECONDS, run
from tests.unit.scaler.fake_ec2 import FakeEc2, client_error, timed_out
from tests.unit.scaler.fake_world import NAMES, START, FakeS3, World

# Sequences are long and cheap; no example needs a deadline.
sequences = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
POOLS = (
    Pool("g4dn.xlarge", "subnet-a"),
    Pool("g5.xlarge", "subnet-a"),
    Pool("g5.xlarge", "subnet-b"),
)
ERRORS = ("RequestLimitExceeded", "InsufficientInstanceCapacity", "UnauthorizedOperation")
# Seconds to connect and to be answered, once: the client's of the Lambda function.
LONGEST_CALL = 7.0
OPERATIONS = (
    "create_fleet",
    "create_tags",
    "delete_tags",
    "terminate_instances",
    "start_instances",
)


@dataclass(frozen=True)
class Step:
    """What happens between two ticks."""

    wait: float
    backlog: Backlog | None
    blind: bool
    cold_start: bool
    fault: tuple[str, str, bool] | None
    deaths: int
    elsewhere: int
    workers_live: bool


BACKLOGS = st.builds(Backlog, st.integers(0, 120), st.integers(0, 40), st.integers(0, 5))
STEP = st.builds(
    Step,
    wait=st.sampled_from([1.0, 5.0, 5.0, 20.0, 70.0, 400.0]),
    backlog=st.none() | BACKLOGS | st.just(Backlog(0, 0)),
    blind=st.sampled_from([False, False, False, True]),
    cold_start=st.booleans(),
    fault=st.none()
    | st.tuples(st.sampled_from(OPERATIONS), st.sampled_from([*ERRORS, "timeout"]), st.booleans()),
    deaths=st.sampled_from([0, 0, 0, 1, 5]),
    elsewhere=st.sampled_from([0, 0, 0, 0, 2]),
    workers_live=st.booleans(),
)


def quiet(wait: float, *, live: bool, waiting: int = 0) -> Step:
    return Step(wait, Backlog(waiting, 0), False, False, None, 0, 0, live)


def lull(waiting: int, confirm: bool, again: int) -> list[Step]:
    """Return load, then an empty queue for longer than the least run time, then load.

    Claimed workers confirm and are ended, or are rescued because they did not.
    """
    return [
        quiet(5, live=False, waiting=waiting),
        quiet(70, live=False),
        quiet(20, live=False),
        quiet(5, live=confirm),
        quiet(5, live=confirm, waiting=again),
        quiet(5, live=False, waiting=again),
    ]


LULLS = st.builds(lull, st.integers(1, 60), st.booleans(), st.integers(1, 60))
STEPS = st.lists(STEP.map(lambda step: [step]) | LULLS, min_size=2, max_size=18).map(
    lambda parts: [step for part in parts for step in part]
)
CONFIGS = st.builds(
    lambda least, more, rule, scale_in, markets, warm: FleetConfig(
        rule=rule,
        scale_in=scale_in,
        min_instances=least,
        max_instances=least + more,
        min_runtime=60,
        boot_deadline=120,
        markets=markets,
        pools=POOLS,
        warm_pool=warm,
    ),
    st.integers(0, 3),
    st.integers(0, 15),
    st.sampled_from(Rule),
    st.sampled_from(ScaleIn),
    st.sampled_from([(Market.ON_DEMAND,), (Market.SPOT, Market.ON_DEMAND)]),
    st.integers(0, 2),
)
HABITS = st.fixed_dictionaries(
    {
        "boot": st.sampled_from([0.0, 40.0, 10_000.0]),
        "show": st.sampled_from([0.0, 12.0, 30.0]),
        "end": st.sampled_from([0.0, 30.0]),
        "stopped": st.integers(0, 3),
    }
)
CAPACITY = st.dictionaries(
    st.tuples(
        st.sampled_from(["spot", "on-demand"]),
        st.sampled_from(["g4dn.xlarge", "g5.xlarge"]),
        st.sampled_from(["subnet-a", "subnet-b"]),
    ),
    st.integers(0, 4),
)


def world_of(
    config: FleetConfig, habits: dict[str, float], capacity: dict[Any, int] | None = None
) -> World:
    world = World(config)
    for name in habits.keys() - {"stopped"}:
        setattr(world.ec2, name, habits[name])
    world.ec2.capacity = dict(capacity or {})
    for number in range(int(habits.get("stopped", 0))):
        pool = POOLS[number]
        where = ("on-demand", pool.instance_type, pool.subnet)
        world.ec2.has_stopped(1, NAMES.worker_tags(f"app-tier-instance-{number + 1}"), where)
    return world


def happen(world: World, step: Step) -> None:
    """Let time pass and things go wrong."""
    world.wait(step.wait)
    world.backlog, world.blind = step.backlog, step.blind
    if step.cold_start:
        world.cold_start()
    if step.fault is not None:
        operation, code, after = step.fault
        error = timed_out() if code == "timeout" else client_error(code)
        # EC2 says such a thing only when it did nothing; an answer that is lost may follow work.
        world.ec2.fail(operation, error, after=after and code == "timeout")
    for instance_id in world.running()[: step.deaths]:
        world.ec2.die(instance_id)
    if step.elsewhere:
        world.ec2.launch_elsewhere(step.elsewhere, NAMES.worker_tags("elsewhere"))
    if step.workers_live:
        world.workers_live()


@sequences
@given(CONFIGS, HABITS, CAPACITY, STEPS)
def test_invariant_01_never_more_than_the_maximum_whoever_launches(
    config: FleetConfig, habits: dict[str, float], capacity: dict[Any, int], steps: list[Step]
) -> None:
    world = world_of(config, habits, capacity)
    for step in steps:
        happen(world, step)
        # What somebody else launched and EC2 does not show yet nobody can know.
        for machine in world.ec2.machines.values():
            if TAG_LAUNCH not in machine.tags:
                machine.shown_at = 0.0
        before = world.existing()
        record = world.tick()
        assert record.decision.launches >= 0
        assert record.decision.launches + len(record.decision.start) <= config.launch_batch
        after = world.existing()
        assert after <= max(before, config.max_instances)


@sequences
@given(CONFIGS, BACKLOGS, st.integers(2, 30))
def test_invariant_02_the_same_inputs_again_launch_nothing(
    config: FleetConfig, backlog: Backlog, repeats: int
) -> None:
    """An unchanged view, in which no launch shows up, never leads beyond what is desired."""
    state, launched = ControllerState(), 0
    for _ in range(repeats):
        seen = Observation(backlog, Fleet(), state, START)
        decision = decide(seen, config, START)
        made = tuple(f"i-{launched + n}" for n in range(decision.launches))
        launched += len(made)
        state = absorb(decision.state, Outcome(launched=made), config, START)
        assert decision.desired is not None
        assert launched <= max(decision.desired, config.min_instances)
    seen = Observation(backlog, Fleet(), state, START)
    if launched == decision.desired:
        assert decide(seen, config, START).launch is None


@sequences
@given(CONFIGS, st.integers(1, 60))
def test_invariant_02_the_same_decision_carried_out_twice_launches_once(
    config: FleetConfig, waiting: int
) -> None:
    world = World(config, Backlog(waiting, 0))
    decision = decide(Observation(world.backlog, Fleet(), ControllerState(), START), config, START)
    executor = Executor(cast(Any, world.ec2), NAMES)
    first = executor.carry_out(decision, Fleet(), config, START)
    second = executor.carry_out(decision, Fleet(), config, START)
    assert first.launched == second.launched
    assert world.existing() == decision.launches


@sequences
@given(CONFIGS, HABITS, STEPS, st.sampled_from(["backlog", "fleet", "stale"]))
def test_invariant_03_failed_missing_or_stale_reads_neither_shrink_nor_grow(
    config: FleetConfig, habits: dict[str, float], steps: list[Step], what: str
) -> None:
    world = world_of(config, habits)
    for step in steps:
        happen(world, step)
        world.tick()
        if what == "backlog":
            world.backlog = None
        elif what == "fleet":
            world.blind = True
        else:
            world.slow = config.stale_seconds + 1
        calls = len(world.ec2.calls)
        record = world.tick()
        assert record.decision.desired is None
        assert record.decision.reasons
        assert not record.decision.acts
        assert len(world.ec2.calls) == calls
        world.slow = 0.0


INSTANCES = st.integers(0, 12)


def group(prefix: str, number: int, **more: Any) -> tuple[Instance, ...]:
    return tuple(Instance(f"{prefix}-{n}", START - 1000, **more) for n in range(number))


@sequences
@given(CONFIGS, BACKLOGS, INSTANCES, INSTANCES, INSTANCES, INSTANCES, INSTANCES)
def test_invariant_04_draining_instances_count_towards_the_maximum_not_as_capacity(
    config: FleetConfig,
    backlog: Backlog,
    ready: int,
    booting: int,
    draining: int,
    leaving: int,
    unseen: int,
) -> None:
    config = replace(config, boot_deadline=1e6)
    fleet = Fleet(
        ready=group("ready", ready),
        booting=group("boot", booting),
        draining=group("drain", draining, drained=True, drain_until=START + 100),
        leaving=leaving,
    )
    state = ControllerState(launched={f"unseen-{n}": START - 3 for n in range(unseen)})
    decision = decide(Observation(backlog, fleet, state, START), config, START)
    assert decision.capacity == ready + booting + unseen
    existing = ready + booting + draining + leaving + unseen
    assert decision.launches <= max(0, config.max_instances - existing)
    assert not decision.rescue  # they confirmed: their workers have ended


@sequences
@given(CONFIGS, HABITS, STEPS)
def test_invariant_05_exactly_one_party_ends_each_instance(
    config: FleetConfig, habits: dict[str, float], steps: list[Step]
) -> None:
    world = world_of(config, {**habits, "show": 0.0})
    for step in steps:
        happen(world, step)
        tags = {each.instance_id: dict(each.tags) for each in world.ec2.existing()}
        record = world.tick()
        for instance_id in (*record.decision.terminate, *record.decision.stop):
            # Nobody is ended who did not confirm under a valid claim, or was found dead twice.
            marks = tags[instance_id]
            confirmed = TAG_DRAINED in marks
            claimed = float(marks.get(TAG_DRAIN, 0)) > world.now
            if TAG_ORPHAN in marks:
                looked = world.now - float(marks[TAG_ORPHAN])
                assert confirmed or looked >= config.orphan_recheck
            else:
                assert confirmed
                assert claimed
    for machine in world.ec2.machines.values():
        enders = world.ec2.ended_by.get(machine.instance_id, [])
        starts = sum(
            machine.instance_id in call["InstanceIds"]
            for call in world.ec2.asked("start_instances")
        )
        assert len(enders) <= 1 + starts


@sequences
@given(CONFIGS, HABITS, CAPACITY, STEPS)
def test_invariant_06_every_marker_or_claim_expires(
    config: FleetConfig, habits: dict[str, float], capacity: dict[Any, int], steps: list[Step]
) -> None:
    world = world_of(config, {**habits, "boot": 0.0}, capacity)
    for step in steps:
        happen(world, step)
        world.tick()
        for machine in world.ec2.existing():
            assert float(machine.tags.get(TAG_DRAIN, 0)) <= world.now + config.drain_seconds + 1
            assert float(machine.tags.get(TAG_KEEP, 0)) <= world.now + config.keep_seconds + 1
    # A day without the controller, then nothing goes wrong any more.
    world.ec2.faults.clear()
    world.ec2.capacity.clear()
    world.wait(86_400)
    world.backlog, world.blind = Backlog(0, 0), False
    # Longer than a breaker stays open at most.
    for _ in range(18):
        record = world.tick()
        world.wait(60)
        world.ec2.settle()
    state = record.state
    assert (state.cool_offs, state.launched, state.intent) == ({}, {}, None)
    assert state.backoff_until <= world.now
    assert state.breaker.state is not BreakerState.OPEN
    for machine in world.ec2.existing():
        assert TAG_ORPHAN not in machine.tags
        drain = float(machine.tags.get(TAG_DRAIN, 0))
        assert drain == 0 or drain > world.now - 60


@sequences
@given(CAPACITY, st.integers(1, 15), st.booleans())
def test_invariant_07_a_partial_fulfilment_is_accounted_for_and_the_rest_tried_again(
    capacity: dict[Any, int], wanted: int, spot_first: bool
) -> None:
    markets = (Market.SPOT, Market.ON_DEMAND) if spot_first else (Market.ON_DEMAND,)
    config = FleetConfig(pools=POOLS, markets=markets, cool_off_seconds=20)
    world = world_of(config, {"show": 12.0}, capacity)
    world.backlog = Backlog(wanted * 5, 0)
    for _ in range(12):
        record = world.tick()
        usage = record.state.usage
        assert usage.launched == len(world.ec2.machines)
        assert usage.requested >= usage.launched
        assert world.existing() <= wanted
        world.wait(5)
    world.ec2.capacity.clear()
    world.wait(30)
    for _ in range(6):
        world.tick()
        world.wait(5)
    assert world.existing() == wanted


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
@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.sampled_from([5.0, 20.0, 60.0]), st.booleans()), min_size=100, max_size=150
    ),
)
def test_invariant_09_the_minimum_and_the_idle_exit_do_not_fight(
    least: int, gaps: list[tuple[float, bool]]
) -> None:
    world = World(FleetConfig(min_instances=least, min_runtime=60))
    for gap, cold in gaps:
        world.tick()
        world.wait(gap)
        world.workers_live()
        if cold:
            world.cold_start()
    assert len(world.ec2.machines) == least
    assert world.ec2.ended_by == {}


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
    CONFIGS,
    st.integers(0, 100),
    st.integers(1, 40),
    INSTANCES,
    INSTANCES,
    st.sampled_from([None, 0.001]),
)
def test_invariant_11_work_in_flight_never_goes_to_zero_workers(
    config: FleetConfig,
    visible: int,
    in_flight: int,
    ready: int,
    booting: int,
    budget: float | None,
) -> None:
    config = replace(config, budget_hours=budget, scale_in_window=0, boot_deadline=1e6)
    day = int(START // 86_400)
    state = ControllerState()
    state = replace(state, usage=replace(state.usage, day=day, instance_seconds=3600))
    fleet = Fleet(ready=group("ready", ready), booting=group("boot", booting))
    for tick in range(4):
        now = START + tick
        seen = Observation(Backlog(visible, in_flight), fleet, state, now)
        decision = decide(seen, config, now)
        gone = {*decision.drain, *decision.terminate, *decision.stop}
        left = [each for each in fleet.ready if each.instance_id not in gone]
        assert left or not fleet.ready
        state, fleet = decision.state, replace(fleet, ready=tuple(left))


@sequences
@given(
    st.integers(1, 5),
    st.sampled_from([0.0, 30.0]),
    st.lists(st.sampled_from([1.0, 5.0, 15.0]), min_size=4, max_size=20),
)
def test_invariant_12_a_boot_timeout_counts_for_the_breaker_an_unseen_launch_does_not(
    number: int, show: float, waits: list[float]
) -> None:
    config = FleetConfig(boot_deadline=100, breaker_failures=number, max_instances=number)
    world = world_of(config, {"show": show, "boot": 1e6})
    world.backlog = Backlog(number * 5, 0)
    world.tick()
    for wait in waits:
        if world.now + wait - START >= 100:
            break
        world.wait(wait)
        assert world.tick().state.breaker.failures == 0
    assert world.existing() == number
    world.now = START + 102
    record = world.tick()
    assert set(record.decision.suspect) == set(world.ec2.machines)
    assert record.state.breaker.failures == number
    assert record.state.breaker.state is BreakerState.OPEN
    assert record.state.usage.boot_failures == number


@pytest.mark.parametrize("confirm", [True, False])
def test_a_lull_passes_through_claim_and_end_or_rescue(confirm: bool) -> None:
    world = World(FleetConfig(min_runtime=60))
    made: list[Decision] = []
    for step in lull(25, confirm, 25):
        happen(world, step)
        made.append(world.tick().decision)
    assert sum(len(each.drain) for each in made) == 5
    assert sum(len(each.terminate) for each in made) == (5 if confirm else 0)
    assert sum(len(each.rescue) for each in made) == (0 if confirm else 5)


def test_the_tags_that_the_sequences_rely_on_are_written() -> None:
    """The properties above would hold for a controller that never acts."""
    world = World(FleetConfig(min_runtime=10, quiet_time=5), Backlog(60, 0))
    for _ in range(4):
        world.tick()
        world.wait(5)
    assert world.existing() == 12
    world.backlog = Backlog(0, 0)
    drained: list[Decision] = []
    for _ in range(10):
        drained.append(world.tick().decision)
        world.wait(5)
        world.workers_live()
    assert sum(len(each.drain) for each in drained) == 12
    assert sum(len(each.terminate) for each in drained) == 12
    assert world.existing() == 0
    assert all(enders == ["scaler"] for enders in world.ec2.ended_by.values())


@pytest.fixture(autouse=True, scope="module")
def _silence() -> Iterator[None]:
    """Thousands of failures are logged here on purpose."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
