"""One rule beside the plain one over many seeds: means, worst cases, and where it loses."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import fmean

from scaler.simulator.costs import with_bound
from scaler.simulator.run import simulate
from scaler.simulator.traces import make_trace

# Those of which it is said how near they are to the cheapest possible fleet.
BY_CLAIRVOYANT = ("steady", "daily", "burst")


@dataclass(frozen=True, slots=True)
class Duel:
    """A rule and the plain rule on one trace of one seed; seconds and dollars.

    Attributes
    ----------
    ratio : the rule's cost to the clairvoyant's at the same p95; None where not asked for.
    """

    trace: str
    seed: int
    cost: float
    plain_cost: float
    wait: float
    plain_wait: float
    lost: int
    ratio: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the rule waits no longer, costs no more, and loses nothing."""
        return self.wait <= self.plain_wait and self.cost <= self.plain_cost and not self.lost


@dataclass(frozen=True, slots=True)
class Comparison:
    """All seeds of a trace."""

    trace: str
    duels: tuple[Duel, ...]

    @property
    def cost(self) -> float:
        """The mean cost, as a share of the plain rule's."""
        return fmean(each.cost for each in self.duels) / fmean(
            each.plain_cost for each in self.duels
        )

    @property
    def wait(self) -> float:
        """The mean p95 in seconds; `plain_wait` is the plain rule's."""
        return fmean(each.wait for each in self.duels)

    @property
    def plain_wait(self) -> float:
        return fmean(each.plain_wait for each in self.duels)

    @property
    def ratios(self) -> list[float]:
        """The costs to the clairvoyant's."""
        return [each.ratio for each in self.duels if each.ratio is not None]

    @property
    def misses(self) -> list[int]:
        """The seeds on which the rule waits longer or costs more."""
        return [each.seed for each in self.duels if not each.holds]


def compare(
    traces: Sequence[str], rule: str, seeds: int, scale: float, processes: int
) -> Iterator[Comparison]:
    """Yield the comparison of each trace on the seeds from 0."""
    with ProcessPoolExecutor(processes) as pool:
        for name in traces:
            made = pool.map(duel, [(name, rule, seed, scale) for seed in range(seeds)])
            yield Comparison(name, tuple(made))


def duel(asked: tuple[str, str, int, float]) -> Duel:
    """Return how a rule did: `(trace, rule, seed, scale)`."""
    name, rule, seed, scale = asked
    trace = make_trace(name, seed, scale)
    ours, plain = simulate(trace, rule, seed), simulate(trace, "plain", seed)
    bound = with_bound(ours).bound if name in BY_CLAIRVOYANT else None
    return Duel(
        trace=name,
        seed=seed,
        cost=ours.cost,
        plain_cost=plain.cost,
        wait=ours.wait(95),
        plain_wait=plain.wait(95),
        lost=ours.lost,
        ratio=None if bound is None else ours.cost / bound,
    )
