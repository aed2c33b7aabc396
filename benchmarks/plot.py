"""A picture of each benchmark's samples: how they spread, and the target."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from benchmarks.result import Outcome


def plot(outcome: Outcome, to: Path) -> bool:
    """Write the cumulative distribution of the samples as PNG; False where there are none."""
    if not outcome.samples:
        return False
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for series, samples in outcome.samples.items():
        ordered = sorted(samples)
        shares = [100 * (n + 1) / len(ordered) for n in range(len(ordered))]
        axes.step(ordered, shares, where="post", label=series)
    for measured in outcome.figures:
        if measured.target is not None and measured.unit == outcome.sample_unit:
            label = f"target of {measured.name}"
            axes.axvline(measured.target, color="tab:red", linestyle="--", label=label)
    axes.set(
        title=outcome.benchmark,
        xlabel=outcome.sample_unit,
        ylabel="% of the runs at most so long",
        ylim=(0, 101),
    )
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(to, dpi=110)
    plt.close(figure)
    return True
