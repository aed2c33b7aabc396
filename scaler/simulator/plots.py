"""Queue, fleet and cost over time, all rules in one picture a trace."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from scaler.simulator.costs import TITLES
from scaler.simulator.run import Result

_COLOURS = {
    "given": "tab:cyan",
    "latency": "tab:green",
    "flow": "tab:blue",
    "plain": "tab:red",
    "keda": "tab:orange",
    "target-tracking": "tab:purple",
    "fixed": "tab:gray",
}


def draw(path: Path, results: Sequence[Result]) -> None:
    """Write the picture of one trace."""
    trace = results[0].trace
    # The same bytes for the same figures, whoever draws them.
    with mpl.rc_context({"svg.hashsalt": trace.name}):
        figure = Figure(figsize=(9, 8), layout="constrained")
        queue, fleet, cost = figure.subplots(3, 1, sharex=True)
        for result in results:
            history = result.history
            hours = [at / 3600 for at in history.at]
            style = {
                "label": TITLES.get(result.rule, result.rule),
                "color": _COLOURS.get(result.rule, "black"),
                "linewidth": 1.6 if result.rule == "flow" else 0.9,
            }
            queue.plot(hours, history.visible, **style)
            fleet.plot(hours, history.existing, drawstyle="steps-post", **style)
            cost.plot(hours, history.cost, **style)
        queue.set_title(trace.title)
        queue.set_ylabel("photos waiting")
        fleet.set_ylabel("instances")
        cost.set_ylabel("cost (dollars)")
        cost.set_xlabel("hours")
        queue.legend(loc="upper right", fontsize="small")
        for axes in (queue, fleet, cost):
            axes.grid(alpha=0.3)
            axes.set_ylim(bottom=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=80, metadata={"Software": None} if path.suffix == ".png" else None)
