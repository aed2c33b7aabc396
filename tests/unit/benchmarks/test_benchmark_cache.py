"""What the benchmark of the cache makes of its measurements."""

from benchmarks.__main__ import load
from benchmarks.cache import NAME, outcome


def test_it_is_among_the_benchmarks() -> None:
    assert NAME in load()


def test_savings_are_held_against_the_same_run() -> None:
    made = outcome([1.0, 1.0, 9.0], [10.0, 10.0, 10.0], [100.0], [300.0])
    reading, saved, again = made.figures
    assert (reading.value, reading.baseline) == (1.0, 10.0)
    assert saved.value == 90
    assert saved.met
    assert (again.value, again.baseline) == (100.0, 300.0)
    assert outcome([5.0], [10.0], [1.0], [1.0]).figures[1].met is False
