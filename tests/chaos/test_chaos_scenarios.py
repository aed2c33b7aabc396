"""A scenario whose fault nobody met proves nothing, and says so."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos.faults import Plan
from tests.chaos.scenarios import SCENARIOS


@pytest.mark.parametrize("name", ["S3 slow", "SQS slow", "results written"])
def test_a_fault_that_nobody_met_is_noticed(name: str) -> None:
    """As where the paths that a fault waits for have changed."""
    [found] = [each for each in SCENARIOS if each.name.startswith(name)]
    calm: Any = SimpleNamespace(
        s3=SimpleNamespace(plan=Plan()),
        sqs=SimpleNamespace(plan=Plan()),
        random=random.Random(0),
        send=lambda _: [],
        ended=lambda: True,
    )
    [noticed] = found.play(calm, 0.02)
    assert noticed.startswith("nobody met: ")
    assert "answer lost" in noticed
