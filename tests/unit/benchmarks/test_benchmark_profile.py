"""The stopwatch behind the profile of the worker."""

import pytest

from benchmarks.profile import Stopwatch


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Nets:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def look(self, seconds: float) -> float:
        self.clock.now += seconds
        return seconds


def test_what_runs_inside_of_a_part_counts_for_the_inner_one() -> None:
    clock = Clock()
    watch, nets = Stopwatch(clock), Nets(clock)
    clock.now += 9  # between parts
    with watch.watch("nets", Nets, "look"):
        with watch.part("decisions"):
            clock.now += 1
            assert nets.look(4) == 4
            clock.now += 2
        nets.look(5)
    nets.look(100)  # no longer watched
    assert watch.seconds == {"decisions": 3, "nets": 9}


def test_a_part_that_fails_is_counted_and_left() -> None:
    clock = Clock()
    watch = Stopwatch(clock)

    def fail() -> None:
        with watch.part("embed"):
            clock.now += 1
            raise ValueError

    with watch.part("all"):
        with pytest.raises(ValueError):
            fail()
        clock.now += 2
    assert watch.seconds == {"embed": 1, "all": 2}
