"""The fleet under a bad EC2: never too many, and right again when the trouble is over."""

import random

import pytest

from faces.contracts.names import TAG_READY
from scaler.model import Backlog, FleetConfig
from tests.unit.scaler.fake_ec2 import client_error, timed_out
from tests.unit.scaler.fake_world import World

TROUBLED, QUIET = 160, 240
TICK = 5.0
NEVER = 1e12
WANTED = 8
OPERATIONS = ("create_fleet", "create_tags", "terminate_instances", "describe_instances")


def trouble(world: World, chosen: random.Random) -> None:
    """Do one bad thing, or none."""
    ec2 = world.ec2
    match chosen.randrange(9):
        case 0:
            error = client_error("RequestLimitExceeded", status=503)
            ec2.fail(chosen.choice(OPERATIONS), error)
        case 1:
            ec2.fail(chosen.choice(OPERATIONS), client_error("InternalError", status=500))
        case 2:  # done, and nobody hears of it
            ec2.fail(chosen.choice(OPERATIONS), timed_out(), after=True)
        case 3:
            world.blind = not world.blind
        case 4:
            world.backlog = None if world.backlog else Backlog(5 * WANTED, 0)
        case 5:
            for machine in chosen.sample(ec2.existing(), min(2, len(ec2.existing()))):
                ec2.die(machine.instance_id)
        case 6:
            world.cold_start()
        case 7:  # what is launched from now on never boots, or does so late
            ec2.boot = chosen.choice((0.0, 40.0, NEVER))
        case 8:  # descriptions lag behind
            ec2.show = chosen.choice((0.0, 10.0, 30.0))


@pytest.mark.parametrize("seed", range(4))
def test_a_fleet_in_trouble_stays_within_its_bounds_and_comes_back(seed: int) -> None:
    chosen = random.Random(seed)
    world = World(FleetConfig(max_instances=15), Backlog(5 * WANTED, 0))
    most = 0
    for _ in range(TROUBLED):
        trouble(world, chosen)
        world.tick()
        most = max(most, world.existing())
        world.wait(TICK + world.slow)
    assert 0 < most <= 15

    world.blind, world.backlog = False, Backlog(5 * WANTED, 0)
    world.ec2.boot = world.ec2.show = 0.0
    world.ec2.faults.clear()
    for _ in range(QUIET):
        world.tick()
        world.wait(TICK)
        assert world.existing() <= 15
    assert len(world.running()) >= WANTED, "the fleet came back"
    stuck = [each for each in world.ec2.existing() if each.state == "pending"]
    assert stuck == [], "what never boots is gone"

    world.backlog = Backlog(0, 0)
    for _ in range(QUIET):
        world.tick()
        world.workers_live()
        world.wait(TICK)
    assert world.existing() == 0, "and goes when nothing waits"


def test_instances_that_never_boot_are_replaced_and_not_by_ever_more() -> None:
    world = World(FleetConfig(max_instances=4), Backlog(20, 0))
    world.ec2.boot = NEVER
    for _ in range(400):
        world.tick()
        assert world.existing() <= 4
        world.wait(TICK)
    launched = len(world.ec2.machines)
    # The breaker holds them back: not a new fleet with each boot deadline.
    assert 4 < launched < 40
    world.ec2.boot = 0.0
    for _ in range(400):
        world.tick()
        for instance_id in world.running():
            world.ec2.machines[instance_id].tags[TAG_READY] = "1"
        world.wait(TICK)
    assert len(world.running()) == 4


@pytest.mark.parametrize("ahead", [-86_400.0, -300.0, 300.0, 3_600.0, 86_400.0])
@pytest.mark.parametrize("ticks", [1, 5])
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_clock_that_was_wrong_for_some_ticks_delays_nobody_for_long(
    ahead: float, ticks: int, before: int
) -> None:
    world = World(FleetConfig(max_instances=15), Backlog(5 * WANTED, 0))
    world.ec2.boot = 40.0
    for tick in range(before + ticks):
        world.ahead = ahead if tick >= before else 0.0
        world.tick()
        world.wait(TICK)
    world.ahead = 0.0
    for _ in range(48):
        world.tick()
        assert world.existing() <= WANTED
        world.wait(TICK)
    assert len(world.running()) == WANTED
