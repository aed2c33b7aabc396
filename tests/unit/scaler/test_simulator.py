"""The simulator: nothing is lost or billed twice, and the bound is one."""

import math
from array import array

import numpy as np
import pytest

from scaler.simulator.bound import clairvoyant_cost
from scaler.simulator.costs import row, with_bound
from scaler.simulator.rivals import Plain
from scaler.simulator.run import RULES, simulate
from scaler.simulator.traces import TRACES, Ec2Model, Limits, Trace, make_trace
from scaler.simulator.world import World

# No luck: every boot takes 100 s, and an instance costs a dollar a second.
PLAIN_EC2 = Ec2Model(boot_median=100, boot_spread=0, hourly_price=3600)


def tiny(arrivals: list[float], work: list[float], ec2: Ec2Model = PLAIN_EC2) -> Trace:
    return Trace("tiny", "by hand", array("d", arrivals), array("d", work), 600.0, ec2, Limits())


class Script:
    """Launches so many workers at given times, and ends them all at another."""

    period = 10.0
    idle = math.inf

    def __init__(self, launches: dict[float, int], end: float) -> None:
        self._launches, self._end = launches, end

    def tick(self, world: World) -> None:
        world.launch(self._launches.get(world.now, 0))
        if world.now >= self._end:
            for worker in list(world.workers):
                world.end(worker)


def test_a_case_worked_out_by_hand() -> None:
    """Worker 1 is ready at 100, worker 2 at 110; four photos of 30 s came at 5.

    1 works 100-130 and 130-160, 2 works 110-140 and 140-170. Both end at 200.
    """
    trace = tiny([5, 5, 5, 5], [30, 30, 30, 30])
    result = simulate(trace, lambda _: Script({0.0: 1, 10.0: 1}, end=200))
    assert list(result.waits) == [125, 135, 155, 165]
    assert result.cost == 200 + 190
    assert (result.peak, result.launches, result.wasted) == (2, 2, 0)


def test_less_than_the_least_time_is_billed_as_the_least_time() -> None:
    result = simulate(tiny([], []), lambda _: Script({0.0: 3}, end=20))
    assert (result.cost, result.wasted) == (3 * 60, 3)


def test_what_a_terminated_worker_held_comes_back_after_its_visibility_timeout() -> None:
    # 1 takes the photo at 100 and is ended at 110; it is visible again at 230.
    trace = tiny([5], [30])
    result = simulate(trace, lambda _: Twice())
    assert list(result.waits) == [230 + 30 - 5]
    assert result.killed == 1


class Twice(Script):
    """One worker that is killed at 110, one from 110 to the end."""

    def __init__(self) -> None:
        super().__init__({0.0: 1, 110.0: 1}, end=400)

    def tick(self, world: World) -> None:
        if world.now == 110:
            world.end(world.workers[0])
        super().tick(world)


def test_no_worker_takes_a_photo_once_it_is_claimed() -> None:
    world = World(tiny([0, 150], [10, 10]))
    (worker,) = world.launch(1).workers
    world.run_until(120)
    world.claim(worker)
    world.run_until(300)
    assert (world.visible, world.in_flight) == (1, 0)
    world.release(worker)
    world.run_until(320)
    assert (world.visible, world.in_flight, world.done) == (0, 0, True)


def test_the_plain_rule_takes_five_seconds_and_five_launches_at_a_time() -> None:
    world = World(tiny([0.0] * 60, [1.0] * 60))
    rule = Plain(Limits())
    fleet = []
    for _ in range(4):
        world.run_until(world.now + 5)
        rule.tick(world)
        fleet.append(len(world.workers))
    assert fleet == [5, 10, 12, 12]


@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("name", ["burst", "lossy", "drought"])
def test_every_photo_ends_and_every_second_is_paid_for(name: str, rule: str) -> None:
    trace = make_trace(name, seed=3, scale=0.08)
    result = simulate(trace, rule, seed=3)
    assert result.lost == 0
    work = np.frombuffer(trace.work)
    assert (result.waits >= work - 1e-6).all()
    assert result.instance_hours * 3600 >= work.sum()
    assert result.cost == pytest.approx(result.instance_hours * trace.ec2.hourly_price)
    assert result.peak <= max(trace.limits.max_instances, 1)
    assert result.wasted <= result.launches


def test_arrived_photos_are_done_or_wait_or_are_held_at_every_moment() -> None:
    trace = make_trace("lossy", seed=5, scale=0.05)
    world = World(trace, 5)
    rule = Plain(trace.limits)
    while world.now < trace.horizon:
        rule.tick(world)
        world.run_until(world.now + 5)
        finished = np.frombuffer(world.finished)
        done = int((finished <= world.now).sum())
        assert done + world.visible + world.in_flight == world.arrived


def test_the_same_seed_gives_the_same_figures_and_another_one_others() -> None:
    def cost(seed: int) -> float:
        return simulate(make_trace("lossy", seed, 0.05), "flow", seed).cost

    assert cost(1) == cost(1) != cost(2)


@pytest.mark.parametrize("rule", list(RULES))
def test_nobody_beats_the_clairvoyant(rule: str) -> None:
    for name, scale in (("burst", 0.3), ("steady", 0.02)):
        result = with_bound(simulate(make_trace(name, 1, scale), rule, 1))
        assert 0 < result.bound <= result.cost


def test_the_clairvoyant_of_a_case_worked_out_by_hand() -> None:
    """100 photos of 10 s at once, to be done within about 100 s: ten workers, 100 s of boot.

    In bins of 2 s the wait of 96 s may take 100 s.
    """
    trace = tiny([0.5] * 100, [10.0] * 100)
    assert clairvoyant_cost(trace, 96, late_share=0) == pytest.approx(10 * 100 + 1000)
    # Of twenty that may be late the work has to be done, but by eight workers.
    assert clairvoyant_cost(trace, 96, late_share=0.2) == pytest.approx(8 * 100 + 1000)


def test_a_wait_that_no_fleet_reaches_has_no_bound() -> None:
    trace = tiny([0.5] * 1000, [10.0] * 1000)
    with pytest.raises(RuntimeError, match="15"):
        clairvoyant_cost(trace, 50)


def test_a_photo_that_is_never_done_waits_for_ever() -> None:
    result = simulate(tiny([1.0], [1.0]), lambda _: Script({}, end=0))
    assert (result.wait(95), result.lost) == (math.inf, 1)
    assert row(result).as_json()["p95"] is None


@pytest.mark.parametrize("name", list(TRACES))
def test_traces_are_sorted_and_within_their_horizon(name: str) -> None:
    trace = make_trace(name, 2, scale=0.01)
    arrivals = np.frombuffer(trace.arrivals)
    assert (np.diff(arrivals) >= 0).all()
    assert len(arrivals) == 0 or 0 <= arrivals[0] <= arrivals[-1] <= trace.horizon + 1
