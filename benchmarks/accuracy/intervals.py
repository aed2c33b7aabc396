"""95 % confidence intervals."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964
_RESAMPLES = 300


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % confidence interval; `count` is of how many."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}]"


def wilson(hits: int, total: int) -> Estimate:
    """Return the share `hits / total` with the score interval of Wilson (1927)."""
    if total == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    share = hits / total
    scale = 1 + _Z**2 / total
    middle = (share + _Z**2 / (2 * total)) / scale
    half = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2)) / scale
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), total)


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], float], clusters: int, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of a statistic when people are drawn with replacement (Efron 1979).

    Pairs that share a person are not independent, so people are drawn, not pairs.

    Parameters
    ----------
    statistic : of the (clusters,) number of times that each person was drawn.
    """
    rng = np.random.default_rng(seed)
    values = [
        statistic(rng.multinomial(clusters, np.full(clusters, 1 / clusters)).astype(np.float64))
        for _ in range(_RESAMPLES)
    ]
    if np.isnan(values).all():
        return math.nan, math.nan
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
