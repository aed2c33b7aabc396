"""The state between ticks and the lease of its one writer."""

from io import BytesIO
from typing import Any, cast

import pytest

from scaler.model import Backlog, FleetConfig
from scaler.state import ControllerState, LaunchIntent, Pool
from scaler.store import STATE_KEY, LeaseHeldError, StateStore, StoreUnavailableError
from tests.unit.scaler.fake_ec2 import client_error
from tests.unit.scaler.fake_world import START, FakeS3, World


def store(s3: FakeS3, holder: str = "me") -> StateStore:
    return StateStore(cast(Any, s3), "bucket", holder)


def test_without_the_state_nothing_is_done() -> None:
    world = World(FleetConfig(), Backlog(50, 0))
    s3 = FakeS3(faults=[client_error("InternalError", "GetObject", 500)])
    world.controller.store = store(s3)
    with pytest.raises(StoreUnavailableError):
        world.controller.tick()
    assert world.ec2.calls == []
    assert world.controller.tick() is not None
    assert len(world.ec2.asked("create_fleet")) == 1


@pytest.mark.parametrize("missing", ["ETag", "ContentLength"])
def test_a_state_that_came_in_part_is_not_taken_for_a_damaged_one(missing: str) -> None:
    """What ends within its head has no body; another's lease and launches were lost with it."""
    s3 = FakeS3()
    store(s3, "other").open(START)
    whole = s3.get_object

    def half(**asked: Any) -> dict[str, Any]:
        return {**{k: v for k, v in whole(**asked).items() if k != missing}, "Body": BytesIO()}

    s3.get_object = half  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError):
        store(s3).open(START + 61)
    assert s3.document(STATE_KEY)["lease"]["holder"] == "other"


def test_a_state_that_cannot_be_written_launches_nothing() -> None:
    world = World(FleetConfig(), Backlog(50, 0))
    s3 = FakeS3()
    world.controller.store = store(s3)
    s3.faults = [None, None, client_error("SlowDown", "PutObject", 503)]
    with pytest.raises(StoreUnavailableError):
        world.controller.tick()
    assert world.ec2.calls == []


def test_a_second_controller_waits_for_the_lease() -> None:
    world = World(FleetConfig(), Backlog(50, 0))
    s3 = FakeS3()
    store(s3, "other").open(START)
    world.controller.store = store(s3)
    assert world.controller.tick() is None
    world.wait(61)
    assert world.controller.tick() is not None


def test_a_lease_that_was_taken_by_a_clock_that_is_ahead_blocks_nobody_for_long() -> None:
    s3 = FakeS3()
    ahead, mine = store(s3, "ahead"), store(s3)
    ahead.open(START + 86_400)
    mine.open(START)
    with pytest.raises(LeaseHeldError):
        ahead.save(ControllerState(), START + 86_400)


def test_a_controller_that_lost_its_lease_does_not_act() -> None:
    world = World(FleetConfig(), Backlog(0, 0))
    s3 = FakeS3()
    world.controller.store = store(s3)
    world.controller.tick()
    store(s3, "other").open(START + 61)
    world.backlog = Backlog(50, 0)
    record = world.controller.tick()
    assert record is not None
    assert record.problem == "lease lost"
    assert world.ec2.calls == []


def test_the_lease_is_given_back_at_the_end() -> None:
    world = World(FleetConfig())
    s3 = FakeS3()
    world.controller.store = store(s3)
    world.controller.tick()
    world.controller.close()
    assert s3.document(STATE_KEY)["lease"]["until"] == 0
    store(s3, "next").open(world.now)


def test_an_answer_to_a_write_that_got_lost_costs_no_lease() -> None:
    s3 = FakeS3(lost_answers=[None, client_error("InternalError", "PutObject", 500)])
    mine = store(s3)
    mine.open(START)
    with pytest.raises(StoreUnavailableError):
        mine.save(ControllerState(sequence=1), START)
    mine.save(ControllerState(sequence=2), START)
    assert s3.document(STATE_KEY)["state"]["sequence"] == 2


@pytest.mark.parametrize("text", [b"no JSON", b"[]", b"{}", b'{"state": {"version": 99}}'])
def test_a_damaged_state_begins_anew_but_launches_nothing_for_a_while(text: bytes) -> None:
    s3 = FakeS3(objects={STATE_KEY: ('"0"', text)})
    assert store(s3).open(START) == ControllerState(backoff_until=START + 60)


def test_the_state_is_the_same_after_json() -> None:
    state = ControllerState(
        sequence=3,
        samples=((1.5, 2),),
        wants=((1.0, 2),),
        dead=((1.0, 1),),
        launched={"i-1": 2.5},
        cool_offs={"spot/g5/a": 3.0},
        intent=LaunchIntent("t", 2, "spot", (Pool("g5", "a"),), 1.0),
    )
    assert ControllerState.from_json(state.to_json()) == state


def test_two_controllers_at_once_take_the_lease_once() -> None:
    s3 = FakeS3()
    first, second = store(s3, "a"), store(s3, "b")
    first.open(START)
    with pytest.raises(LeaseHeldError):
        second.open(START)
