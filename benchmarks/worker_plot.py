"""A picture of the worker's rates beside the baseline's."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt


class Measured(Protocol):
    """Images per second, turn by turn."""

    worker: list[float]
    default: list[float]
    baseline: list[float]


_SERIES = {"baseline": "baseline", "default": "worker, profile default", "worker": "worker, plain"}


def plot_rates(rates: Mapping[str, Measured], where: str, to: Path) -> None:
    """Write bars of the medians for each size, on a logarithmic scale, as PNG."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for place, (series, label) in enumerate(_SERIES.items()):
        heights = [statistics.median(getattr(each, series)) for each in rates.values()]
        places = [number + 0.28 * (place - 1) for number in range(len(rates))]
        bars = axes.bar(places, heights, width=0.27, label=label)
        axes.bar_label(bars, fmt="%.3g", fontsize=7)
    axes.set_xticks(range(len(rates)), list(rates))
    axes.set(title=f"From JPEG bytes to a match, {where}", ylabel="images per second")
    axes.set_yscale("log")
    axes.legend()
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(to, dpi=110)
    plt.close(figure)
