"""What grows is told from what warms up, and cores are counted of the whole time."""

from typing import Any, cast

import pytest

from tests.load.crowd import Crowd
from tests.load.usage import Sample, Usage


def usage(*held: dict[str, float], used: tuple[float, float] = (0, 0)) -> Usage:
    made = Usage(cast(Any, None))
    for number, each in enumerate(held):
        spent = used[0] + (used[1] - used[0]) * number / max(1, len(held) - 1)
        made.samples.append(Sample(10.0 * number, each, {"worker": spent}))
    return made


def test_a_part_that_only_warms_up_is_flat() -> None:
    held = [{"worker": float(mib)} for mib in (10, 60, 99, *[100] * 6)]
    assert usage(*held).growth() == {"worker": (100, 100)}


def test_a_part_that_grows_all_the_time_is_seen_to() -> None:
    held = [{"worker": 100.0 + 10 * n} for n in range(9)]
    assert usage(*held).growth() == {"worker": (140, 170)}


def test_a_part_that_came_late_or_went_is_not_compared() -> None:
    both = {"worker": 100.0, "late": 50.0}
    held = [{"worker": 100.0, "gone": 5.0}] * 6 + [both] * 3
    assert usage(*held).growth() == {"worker": (100, 100)}


def test_cores_are_counted_from_the_first_look_to_the_last() -> None:
    held = [{"worker": 1.0}] * 3
    assert usage(*held, used=(30, 50)).cores() == pytest.approx({"worker": 1.0})


def test_a_crowd_says_when_which_share_was_answered() -> None:
    done = Crowd(sent=1.0, answered=tuple(float(n) for n in range(1, 101)))
    assert (done.within(0.5), done.within(0.95), done.took, done.rate) == (50, 95, 100, 1)
