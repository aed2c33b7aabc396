"""Invariants 5, 6 and 9: who ends workers, and that nothing stays marked for ever."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces.contracts.names import TAG_DRAIN, TAG_DRAINED, TAG_KEEP, TAG_ORPHAN
from scaler.model import Backlog, Decision, FleetConfig
from scaler.state import BreakerState
from tests.unit.scaler.fake_ec2 import client_error
from tests.unit.scaler.fake_world import World
from tests.unit.scaler.sequences import (
    CAPACITY,
    CONFIGS,
    HABITS,
    STEPS,
    Step,
    happen,
    lull,
    sequences,
    world_of,
)

pytestmark = pytest.mark.usefixtures("silence")


@sequences
@given(CONFIGS, HABITS, STEPS)
def test_invariant_05_exactly_one_party_ends_each_instance(
    config: FleetConfig, habits: dict[str, float], steps: list[Step]
) -> None:
    world = world_of(config, {**habits, "show": 0.0})
    for step in steps:
        happen(world, step)
        tags = {each.instance_id: dict(each.tags) for each in world.ec2.existing()}
        stopped = {
            each.instance_id for each in world.ec2.machines.values() if each.state == "stopped"
        }
        record = world.tick()
        for instance_id in (*record.decision.terminate, *record.decision.stop):
            if instance_id in stopped:
                continue  # one of an older image, in nobody's hands
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
@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(
            st.sampled_from([5.0, 20.0, 60.0]),
            st.booleans(),
            st.sampled_from([None, "create_tags", "describe_instances"]),
        ),
        min_size=60,
        max_size=90,
    ),
)
def test_invariant_09_the_minimum_and_the_idle_exit_do_not_fight(
    least: int, gaps: list[tuple[float, bool, str | None]]
) -> None:
    """Nobody goes though nothing is to do for an hour, calls fail and the process starts anew."""
    world = World(FleetConfig(min_instances=least, min_runtime=60))
    failed = False
    for gap, cold, fault in gaps:
        # A worker whose mark cannot be renewed for five minutes may well go.
        failed = fault is not None and not failed
        if failed and fault:
            world.ec2.fail(fault, client_error("RequestLimitExceeded"))
        world.tick()
        world.ec2.faults.clear()
        world.wait(gap)
        world.workers_live()
        if cold:
            world.cold_start()
    assert len(world.ec2.machines) == least
    assert world.ec2.ended_by == {}


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
