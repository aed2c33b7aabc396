"""The short form of `make chaos`: what harms one rig only, several rigs at once."""

import sys

import pytest

from tests.chaos.place import place
from tests.chaos.scenarios import SCENARIOS, played_all

SCALE = 0.02
PLAYED = (
    "kill -9 of workers",
    "S3 slow",
    "SQS slow",
    "events and messages twice",
    "photos that crash",
)


@pytest.mark.timeout(600)
def test_no_photo_is_lost_stuck_or_doubled() -> None:
    wanted = [each for each in SCENARIOS if each.name.startswith(PLAYED)]
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
