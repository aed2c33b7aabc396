"""Invariants 1 to 4, 7 and 11: how many workers there are, whatever fails."""

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faces.contracts.names import TAG_DRAIN, TAG_DRAINED, TAG_LAUNCH, TAG_ORPHAN
from scaler.decide import decide
from scaler.executor import Executor
from scaler.model import Backlog, Fleet, FleetConfig, Market, Observation, ScaleIn
from scaler.state import ControllerState
from tests.unit.scaler.fake_world import NAMES, START, World
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

MARKS = {TAG_DRAIN, TAG_DRAINED, TAG_ORPHAN}


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


@settings(sequences, max_examples=20)
@given(CONFIGS, HABITS, CAPACITY, STEPS)
def test_invariant_02_the_same_inputs_again_launch_nothing(
    config: FleetConfig, habits: dict[str, float], capacity: dict[Any, int], steps: list[Step]
) -> None:
    """Ticks over one unchanged world launch what was short once, in batches, then nothing."""
    world = world_of(config, habits, capacity)
    for step in steps:
        happen(world, replace(step, new_image=False))
        before = len(world.ec2.machines)
        first = world.tick().decision
        desired = [first.desired]
        desired += [world.tick().decision.desired for _ in range(5)]
        made = len(world.ec2.machines) - before
        # A backlog that is seen again is believed: the desired number may grow once.
        most = max((each for each in desired if each is not None), default=0)
        short = max(0, most - first.capacity)
        assert made <= short
        if made == short:
            assert world.tick().decision.launch is None


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


@sequences
@given(CONFIGS, HABITS, CAPACITY, STEPS)
def test_invariant_04_draining_instances_count_towards_the_maximum_not_as_capacity(
    config: FleetConfig, habits: dict[str, float], capacity: dict[Any, int], steps: list[Step]
) -> None:
    world = world_of(config, habits, capacity)
    for step in steps:
        happen(world, step)
        now = world.now
        shown = [each for each in world.ec2.existing() if each.shown_at <= now]
        alive = [each for each in shown if each.state in ("pending", "running")]
        unmarked = {each.instance_id for each in alive if not MARKS & each.tags.keys()}
        # A claim that ran out while nobody looked is none: that worker goes on.
        claimed = [each.tags for each in alive if each.instance_id not in unmarked]
        lapsed = sum(
            not tags.keys() & {TAG_DRAINED, TAG_ORPHAN} and float(tags[TAG_DRAIN]) <= now
            for tags in claimed
        )
        record = world.tick()
        decision = record.decision
        if decision.desired is None:
            continue
        known = record.observation.state.launched
        visible = {each.instance_id for each in alive}
        unseen = [each for each, at in known.items() if each not in visible and now - at < 60]
        late = unmarked & set(decision.suspect)
        assert decision.capacity == len(unmarked) - len(late) + len(unseen) + lapsed
        more = decision.launches + len(decision.start)
        assert more <= max(0, config.max_instances - len(shown) - len(unseen))


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
@given(CONFIGS, HABITS, CAPACITY, STEPS, st.sampled_from([None, 1.0]))
def test_invariant_11_work_in_flight_never_goes_to_zero_workers(
    config: FleetConfig,
    habits: dict[str, float],
    capacity: dict[Any, int],
    steps: list[Step],
    budget: float | None,
) -> None:
    """Neither scale-in, nor a spent budget, nor a new image takes the last ready worker.

    Not even where nothing else holds back: workers that boot are surplus at once.
    """
    eager = replace(
        config,
        scale_in=ScaleIn.SURPLUS,
        scale_in_window=0,
        min_instances=0,
        max_instances=15,
        budget_hours=budget,
    )
    world = world_of(eager, {**habits, "boot": 40.0}, capacity)
    for step in steps:
        happen(world, step)
        ready = unclaimed(world)
        world.tick()
        if step.backlog is not None and step.backlog.in_flight and ready:
            assert unclaimed(world)


def unclaimed(world: World) -> list[str]:
    """Return the running instances, shown or not, that bear no mark of an end."""
    return [
        instance_id
        for instance_id in world.running()
        if not MARKS & world.ec2.machines[instance_id].tags.keys()
    ]
