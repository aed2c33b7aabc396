"""What the rule `flow` promises, on the traces or a part of them."""

import pytest

from scaler.simulator.costs import with_bound
from scaler.simulator.run import simulate
from scaler.simulator.traces import make_trace

SCALES = {
    "steady": 0.5,
    "burst": 1.0,
    "daily": 0.5,
    "sparse": 1.0,
    "flash": 1.0,
    "drought": 0.5,
    "lossy": 0.5,
}
BY_CLAIRVOYANT = {"steady", "daily", "burst"}


@pytest.mark.parametrize("name", list(SCALES))
def test_no_worse_wait_than_the_plain_rule_at_no_more_cost(name: str) -> None:
    trace = make_trace(name, scale=SCALES[name])
    ours, plain = simulate(trace, "flow"), simulate(trace, "plain")
    assert ours.lost == 0
    assert ours.wait(95) <= plain.wait(95)
    assert ours.cost <= plain.cost
    if name in BY_CLAIRVOYANT:
        assert ours.cost <= 1.15 * with_bound(ours).bound
