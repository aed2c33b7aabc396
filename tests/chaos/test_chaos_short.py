"""The short form of `make chaos`: what harms one rig only, several rigs at once."""

import sys

import pytest

from tests.chaos.place import place
from tests.chaos.play import played_all
from tests.chaos.scenarios import SCENARIOS

SCALE = 0.02
# The longest first.
PLAYED = (
    "photos that crash",
    "SQS slow",
    "S3 slow",
    "kill -9 of workers",
    "events and messages twice",
)


@pytest.mark.timeout(600)
def test_no_photo_is_lost_stuck_or_doubled() -> None:
    wanted = [each for name in PLAYED for each in SCENARIOS if each.name.startswith(name)]
    assert len(wanted) == len(PLAYED)
    with place() as where:
        outcomes = played_all(
            where,
            wanted,
            SCALE,
            seed=1,
            at_once=3,
            say=lambda line: print(line, file=sys.stderr),  # noqa: T201 - shown when it fails
        )
    bad = [(each.name, each.account.problems, each.noticed) for each in outcomes if not each.good]
    assert bad == []
    assert sum(each.account.tried for each in outcomes) >= 150
    assert len(outcomes) == len(PLAYED)
