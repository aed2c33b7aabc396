"""ROC and DET curves, and error versus reject, as PNG."""

from pathlib import Path
from statistics import NormalDist

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

from benchmarks.accuracy.held_out import HeldOut
from benchmarks.accuracy.report import Rejection
from benchmarks.accuracy.scores import Comparisons, Floats

_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 0.5)


def curve(comparisons: Comparisons) -> tuple[Floats, Floats]:
    """Return false accept and true accept rates over all thresholds."""
    above = np.cumsum(comparisons.strangers[::-1])[::-1] / max(1, comparisons.strangers.sum())
    order = np.argsort(comparisons.genuine)
    ranked = comparisons.genuine[order]
    below = np.concatenate([[0], np.cumsum(comparisons.weight[order])])
    return above, 1 - below[np.searchsorted(ranked, comparisons.edges)]


def plot_roc(comparisons: Comparisons, to: Path) -> None:
    """Write the receiver operating characteristic."""
    far, tar = curve(comparisons)
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    shown = far > 0
    axes.plot(far[shown], tar[shown])
    axes.set(xscale="log", xlabel="false accept rate", ylabel="true accept rate", title="ROC")
    axes.set(xlim=(1e-6, 1), ylim=(min(0.6, float(tar[shown].min(initial=1))), 1.005))
    axes.grid(alpha=0.3)
    figure.savefig(to, dpi=110)
    plt.close(figure)


def plot_det(comparisons: Comparisons, to: Path) -> None:
    """Write the detection error tradeoff (Martin et al. 1997), on normal deviates."""
    far, tar = curve(comparisons)
    frr = 1 - tar
    shown = (far > 1e-6) & (frr > 1e-4) & (far < 0.9) & (frr < 0.9)
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    axes.plot(_deviates(far[shown]), _deviates(frr[shown]))
    ticks = _deviates(np.array(_TICKS))
    labels = [f"{100 * tick:g} %" for tick in _TICKS]
    axes.set_xticks(ticks, labels)
    axes.set_yticks(ticks, labels)
    axes.set(xlabel="false accept rate", ylabel="false reject rate", title="DET")
    axes.grid(alpha=0.3)
    figure.savefig(to, dpi=110)
    plt.close(figure)


def plot_rejection(curves: tuple[Rejection, ...], to: Path) -> None:
    """Write error versus reject (Grother and Tabassi 2007)."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for each in curves:
        axes.plot(
            100 * np.array(each.rejected),
            100 * np.array(each.misses),
            marker="o",
            label=f"FAR {each.far:g}",
        )
    axes.set(xlabel="% of the photos rejected, lowest quality first", ylabel="% of pairs missed")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(to, dpi=110)
    plt.close(figure)


def plot_reliability(tested: HeldOut, to: Path) -> None:
    """Write how often it was the person by how likely it was said to be."""
    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    for name, found in (("verify", tested.verify), ("identify", tested.identify)):
        label = f"{name}, ECE {100 * found.error:.1f} %"
        axes.plot(found.expected, found.observed, marker="o", label=label)
    axes.set(xlabel="probability in the answer", ylabel="share of right answers")
    axes.set(xlim=(0, 1), ylim=(0, 1), title="Reliability, people not learnt from")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(to, dpi=110)
    plt.close(figure)


def _deviates(shares: Floats) -> Floats:
    return np.array([NormalDist().inv_cdf(float(share)) for share in shares])
