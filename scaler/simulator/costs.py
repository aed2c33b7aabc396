"""What a comparison found, as rows for a table, for JSON and for the documentation."""

import math
from dataclasses import dataclass, replace
from typing import Any

from scaler.simulator.bound import clairvoyant_cost
from scaler.simulator.run import Result

TITLES = {
    "given": "ours: given",
    "latency": "ours: latency",
    "flow": "ours: flow",
    "plain": "plain rule",
    "keda": "KEDA",
    "target-tracking": "AWS target tracking",
    "fixed": "fixed fleet",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One rule on one trace; seconds, dollars, counts.

    Attributes
    ----------
    bound : the clairvoyant's cost at the same p95; `ratio` is the cost to it.
    """

    rule: str
    cost: float
    bound: float
    p50: float
    p95: float
    p99: float
    peak: int
    launches: int
    wasted: int
    killed: int
    lost: int
    instance_hours: float
    photos_per_instance_hour: float
    run_seconds: float

    @property
    def ratio(self) -> float:
        return self.cost / self.bound if self.bound else math.inf

    def as_json(self) -> dict[str, Any]:
        """Return the row without infinities, which JSON does not know."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields["ratio"] = self.ratio
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in fields.items()
        }


def with_bound(result: Result) -> Result:
    """Return the result with the clairvoyant's cost at its p95; NaN where none reaches it."""
    wait = result.wait(95)
    if not math.isfinite(wait):
        return result
    try:
        return replace(result, bound=clairvoyant_cost(result.trace, wait))
    except RuntimeError:
        return result


def row(result: Result) -> Row:
    """Return the figures of a result."""
    done = len(result.waits) - result.lost
    return Row(
        rule=result.rule,
        cost=result.cost,
        bound=result.bound,
        p50=result.wait(50),
        p95=result.wait(95),
        p99=result.wait(99),
        peak=result.peak,
        launches=result.launches,
        wasted=result.wasted,
        killed=result.killed,
        lost=result.lost,
        instance_hours=result.instance_hours,
        photos_per_instance_hour=done / result.instance_hours if result.instance_hours else 0.0,
        run_seconds=result.seconds,
    )
