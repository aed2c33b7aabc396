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
    baseline: list[float]


def plot_rates(rates: Mapping[str, Measured], where: str, to: Path) -> None:
    """Write bars of both medians for each size, on a logarithmic scale, as PNG."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for offset, series in ((-0.2, "baseline"), (0.2, "worker")):
        heights = [statistics.median(getattr(each, series)) for each in rates.values()]
        places = [number + offset for number in range(len(rates))]
        bars = axes.bar(places, heights, width=0.38, label=series)
        axes.bar_label(bars, fmt="%.3g")
    axes.set_xticks(range(len(rates)), list(rates))
    axes.set(title=f"From JPEG bytes to a match, {where}", ylabel="images per second")
    axes.set_yscale("log")
    axes.legend()
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(to, dpi=110)
    plt.close(figure)
