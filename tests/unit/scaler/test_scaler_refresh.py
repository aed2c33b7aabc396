"""Workers of an older image are replaced, a bounded share at a time."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from faces.contracts.names import TAG_DRAIN
from scaler.decide import decide
from scaler.model import (
    Backlog,
    Decision,
    Fleet,
    FleetConfig,
    Instance,
    Observation,
    Reason,
    ScaleIn,
)
from scaler.state import Breaker, BreakerState, ControllerState
from scaler.template import TAG_VERSION, Template, TemplateWatch, read_template
from tests.unit.scaler.fake_ec2 import FakeEc2, client_error, image_of
from tests.unit.scaler.fake_world import NAMES, START, World

NOW = START
PLAIN = FleetConfig()


def old(number: int, age: float = 3600, **more: Any) -> list[Instance]:
    return [Instance(f"old-{n:02}", NOW - age - n, outdated=True, **more) for n in range(number)]


def new(number: int) -> list[Instance]:
    return [Instance(f"new-{n:02}", NOW - 500) for n in range(number)]


def step(
    wanted: int, fleet: Fleet, config: FleetConfig = PLAIN, state: ControllerState | None = None
) -> Decision:
    """Decide with so many workers wanted."""
    backlog = Backlog(0, 5 * wanted)
    known = state or ControllerState(level=backlog.total)
    return decide(Observation(backlog, fleet, known, NOW), config, NOW)


def outdated(**groups: list[Instance]) -> Fleet:
    counted = (*groups.get("ready", ()), *groups.get("booting", ()), *groups.get("stopped", ()))
    return Fleet(**groups, outdated=sum(each.outdated for each in counted))  # type: ignore[arg-type]


def test_the_worked_example() -> None:
    """Of ten, nine stay ready; two are launched ahead of those they replace."""
    first = step(10, outdated(ready=old(10)))
    assert (len(first.drain), first.launches) == (1, 2)
    assert Reason.REFRESHING in first.reasons
    then = step(10, outdated(ready=[*new(3), *old(9)]))
    assert (len(then.drain), then.launches) == (3, 0)
    last = step(10, outdated(ready=[*new(10), *old(2)]))
    assert (set(last.drain), last.launches) == ({"old-00", "old-01"}, 0)


def test_the_oldest_goes_first_and_a_held_or_young_one_stays() -> None:
    fleet = outdated(ready=[*old(3, hold_until=NOW + 9), *new(10)])
    assert step(10, fleet).drain == ()
    assert step(10, outdated(ready=[*old(3, age=100), *new(10)])).drain == ()
    assert step(12, outdated(ready=[*old(3), *new(9)])).drain == ("old-02",)


def test_without_room_to_launch_ahead_one_less_has_to_do() -> None:
    config = replace(PLAIN, max_instances=5, refresh_min_healthy=1.0)
    assert step(5, outdated(ready=old(5)), config).drain == ("old-04",)
    assert step(4, outdated(ready=old(4)), config).drain == ()


def test_held_workers_are_not_replaced_ahead() -> None:
    fleet = outdated(ready=old(10, hold_until=NOW + 9))
    assert not step(10, fleet).acts


@pytest.mark.parametrize(
    ("low", "limits"),
    [
        (Backlog(2, 3), {}),
        (Backlog(2, 3), {"scale_in_window": 0.0}),
        (Backlog(0, 0), {"min_instances": 2}),
        (Backlog(0, 0), {"min_instances": 2, "scale_in_window": 0.0}),
    ],
)
def test_one_low_reading_takes_no_more_than_a_refresh_may(
    low: Backlog, limits: dict[str, Any]
) -> None:
    """Counts of SQS are approximate; what is too many is given up by the rules for that."""
    world = World(FleetConfig(min_runtime=60, **limits), Backlog(45, 30))
    for _ in range(20):
        world.tick()
        world.wait(5)
    world.ec2.version += 1
    world.wait(60)
    high, world.backlog = world.backlog, low
    assert len(world.tick().decision.drain) <= 1
    world.backlog = high
    for _ in range(3):
        world.wait(5)
        world.workers_live()
        world.tick()
    assert len(world.running()) >= 14


@pytest.mark.parametrize(
    ("number", "limits"),
    [
        (5, {"max_instances": 5}),
        (15, {"refresh_min_healthy": 1.0}),
        (6, {"refresh_surge": 0.0}),
    ],
    ids=["small", "all-healthy", "no-surge"],
)
def test_without_room_a_claim_is_not_taken_back_before_it_is_confirmed(
    number: int, limits: dict[str, Any]
) -> None:
    world = World(FleetConfig(min_runtime=60, **limits), Backlog(2 * number, 3 * number))
    for _ in range(20):
        world.tick()
        world.wait(5)
    world.ec2.version += 1
    world.wait(60)
    for _ in range(40 * number):
        assert world.tick().decision.rescue == ()
        world.wait(5)
        if len(world.records) % 4 == 0:  # it takes a worker a while to finish what it holds
            world.workers_live()
    assert {each.version for each in world.ec2.existing()} == {2}
    assert len(world.ec2.machines) == 2 * number


@pytest.mark.parametrize("least", [0, 2])
def test_surplus_is_not_given_up_while_what_replaces_it_boots(least: int) -> None:
    """Nor is a new worker given up for an outdated one that is to be kept."""
    config = FleetConfig(
        scale_in=ScaleIn.SURPLUS,
        min_instances=least,
        scale_in_window=0,
        min_runtime=60,
        refresh_surge=1.0,
        refresh_min_healthy=1.0,
    )
    world = World(config, Backlog(10, 20))
    world.ec2.boot = 40
    for _ in range(30):
        world.tick()
        world.wait(5)
    world.ec2.version += 1
    world.wait(60)
    for _ in range(100):
        assert world.tick().decision.rescue == ()
        world.wait(5)
        if len(world.records) % 3 == 0:
            world.workers_live()
        marks = [world.ec2.machines[each].tags for each in world.running()]
        assert sum(TAG_DRAIN not in tags for tags in marks) >= 6
    assert {each.version for each in world.ec2.existing()} == {2}
    assert len(world.ec2.machines) == 12


def test_the_only_worker_is_rescued_when_load_returns() -> None:
    config = replace(PLAIN, max_instances=1, min_instances=1)
    claimed = Fleet(draining=old(1, drain_until=NOW + 200))
    assert step(1, claimed, config).rescue == ("old-00",)


def test_the_last_worker_is_not_given_up_while_there_is_work() -> None:
    config = replace(PLAIN, max_instances=1)
    assert step(1, outdated(ready=old(1)), config).drain == ()


@pytest.mark.parametrize(
    "state",
    [
        ControllerState(level=50, breaker=Breaker(BreakerState.OPEN, 5, until=NOW + 9, wait=60)),
        ControllerState(level=50, breaker=Breaker(BreakerState.HALF_OPEN, 5)),
        ControllerState(level=50, backoff_until=NOW + 9),
        ControllerState(level=50, lost_at=NOW - 9),
    ],
    ids=["open", "half-open", "backing-off", "lost"],
)
def test_nobody_is_given_up_while_nobody_could_come(state: ControllerState) -> None:
    assert step(10, outdated(ready=old(10)), state=state).drain == ()


def test_a_half_open_breaker_probes_with_one_launched_ahead() -> None:
    state = ControllerState(level=50, breaker=Breaker(BreakerState.HALF_OPEN, 5))
    decision = step(10, outdated(ready=old(10)), state=state)
    assert (decision.launches, decision.drain) == (1, ())


def test_claimed_outdated_workers_are_rescued_only_below_the_healthy_minimum() -> None:
    claimed = old(2, drain_until=NOW + 200)
    enough = Fleet(ready=[*new(9)], draining=claimed)
    assert step(10, enough).rescue == ()
    load_returned = Fleet(ready=[*new(6)], draining=claimed)
    assert len(step(10, load_returned).rescue) == 2


def test_stopped_instances_of_an_older_image_are_ended_not_started() -> None:
    decision = step(3, outdated(ready=new(2), stopped=old(2)))
    assert (decision.start, decision.launches) == ((), 1)
    assert set(decision.terminate) == {"old-00", "old-01"}
    held = outdated(ready=new(3), stopped=old(1, hold_until=NOW + 9))
    assert not step(3, held).acts
    confirmed = Fleet(draining=old(1, drain_until=NOW + 9, drained=True))
    decision = step(0, confirmed, replace(PLAIN, warm_pool=3))
    assert (decision.terminate, decision.stop) == (("old-00",), ())


def test_switched_off_nothing_is_replaced() -> None:
    config = replace(PLAIN, refresh=False)
    fleet = outdated(ready=old(10), stopped=old(1))
    assert not step(10, fleet, config).acts
    assert step(11, fleet, config).start == ("old-00",)


def test_outdated_workers_are_the_first_to_go_when_there_are_too_many() -> None:
    fleet = outdated(ready=[*new(2), *old(2, age=400)])
    state = ControllerState(quiet_since=NOW - 60, ticked_at=NOW - 5)
    config = replace(PLAIN, min_instances=2)
    seen = Observation(Backlog(0, 0), fleet, state, NOW)
    assert set(decide(seen, config, NOW).drain) == {"old-00", "old-01"}


@pytest.mark.parametrize("most", [15, 20])
def test_a_new_image_rolls_through_a_busy_fleet(most: int) -> None:
    world = World(FleetConfig(max_instances=most, min_runtime=60), Backlog(45, 30))
    world.ec2.boot = 40
    for _ in range(15):
        world.tick()
        world.wait(5)
    assert len(world.running()) == 15
    world.ec2.version += 1
    world.wait(60)
    fewest, claims = 15, []
    for _ in range(150):
        record = world.tick()
        claims.append(len(record.decision.drain))
        world.wait(5)
        world.workers_live()
        marks = [world.ec2.machines[each].tags for each in world.running()]
        fewest = min(fewest, sum(TAG_DRAIN not in tags for tags in marks))
        assert world.existing() <= most
    assert {each.version for each in world.ec2.existing()} == {2}
    assert len(world.running()) == 15
    assert fewest == 14
    assert max(claims) <= 5
    assert len(world.ec2.machines) == 30
    assert not record.decision.acts


def test_an_image_that_does_not_boot_costs_no_worker() -> None:
    config = FleetConfig(min_runtime=60, boot_deadline=100, max_instances=20)
    world = World(config, Backlog(40, 10))
    for _ in range(15):
        world.tick()
        world.wait(5)
    world.ec2.version, world.ec2.boot = 2, 1e6
    world.wait(60)
    for _ in range(200):
        world.tick()
        world.wait(5)
        world.workers_live()
    working = {each.version for each in world.ec2.existing() if each.state == "running"}
    assert working == {1}
    assert len(world.running()) >= 9
    assert world.records[-1].state.breaker.state is not BreakerState.CLOSED
    # Two ahead and one for the claimed, then a probe now and then.
    assert len(world.ec2.machines) <= 10 + 12


# -- what is outdated


def described(
    version: str | None, image: str, launched_at: float = NOW - 60
) -> tuple[dict[str, Any], dict[str, str]]:
    launched = datetime.fromtimestamp(launched_at, tz=UTC)
    tags = {} if version is None else {TAG_VERSION: version}
    return {"ImageId": image, "LaunchTime": launched}, tags


@pytest.mark.parametrize(
    ("version", "image", "outdated"),
    [
        ("2", "ami-1", True),
        ("3", "ami-1", False),
        ("4", "ami-2", False),  # the reading of the template is behind
        (None, "ami-1", True),
        (None, "ami-2", False),
    ],
)
def test_the_version_counts_and_without_it_the_image(
    version: str | None, image: str, outdated: bool
) -> None:
    assert Template(3, "ami-2").outdates(*described(version, image)) is outdated


def test_another_image_outdates_only_what_is_older_than_the_template() -> None:
    """Else an EC2 that shows no version, and another image, would be replaced for ever."""
    template = Template(3, "ami-2", created_at=NOW)
    assert template.outdates(*described(None, "ami-1", NOW - 1))
    assert not template.outdates(*described(None, "ami-1", NOW + 1))


def test_the_template_tells_its_version_image_and_age() -> None:
    created = datetime.fromtimestamp(NOW, tz=UTC)
    latest = {"VersionNumber": 3, "CreateTime": created, "LaunchTemplateData": {"ImageId": "ami-1"}}
    ec2 = SimpleNamespace(
        describe_launch_template_versions=lambda **_: {"LaunchTemplateVersions": [latest]}
    )
    assert read_template(cast(Any, ec2), NAMES) == Template(3, "ami-1", NOW)


def test_an_image_that_is_not_known_outdates_nobody() -> None:
    assert not Template(3, "").outdates(*described(None, "ami-1"))


def test_the_template_is_read_once_a_minute_and_unreadable_it_is_as_before() -> None:
    now = START
    ec2 = FakeEc2(clock=lambda: now)
    watch = TemplateWatch(cast(Any, ec2), NAMES, lambda: now)
    ec2.fail("describe_launch_template_versions", client_error("UnauthorizedOperation"))
    assert watch.read() is None
    now += 60
    assert watch.read() == Template(1, image_of(1))
    ec2.version = 2
    now += 59
    assert watch.read() == Template(1, image_of(1))
    ec2.fail("describe_launch_template_versions", client_error("UnauthorizedOperation"))
    now += 1
    assert watch.read() == Template(1, image_of(1))
    now += 60
    assert watch.read() == Template(2, image_of(2))
