"""Pictures of what a load did."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from tests.load.stages import Stage

_LEAST_MIB = 1.0


def draw_stages(stages: Sequence[Stage], path: Path) -> None:
    """Draw p50 and p95 of each stage, and beside them jobs a second and failures."""
    users = [str(stage.users) for stage in stages]
    with mpl.rc_context({"svg.hashsalt": "stages"}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        times, rates = figure.subplots(1, 2)
        times.plot(users, [stage.p95 / 1000 for stage in stages], "o-", label="p95")
        times.plot(users, [stage.p50 / 1000 for stage in stages], "o-", label="p50")
        times.set(ylabel="seconds from asking for a slot to the answer", yscale="log")
        times.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        times.yaxis.set_major_formatter("{x:g}")
        times.yaxis.set_minor_formatter("")
        times.legend()
        rates.bar(users, [stage.jobs_per_second for stage in stages], color="tab:gray")
        rates.set(ylabel="photos a second")
        rates.margins(y=0.1)
        for at, stage in enumerate(stages):
            said = f"{stage.failure_rate:.1%} failed"
            rates.annotate(said, (at, stage.jobs_per_second), ha="center", va="bottom")
        for axes in (times, rates):
            axes.set_xlabel("users at once")
            axes.grid(alpha=0.3, axis="y")
        _save(figure, path)


def draw_memory(held: Mapping[str, Sequence[tuple[float, float]]], path: Path) -> None:
    """Draw the memory of each part: pairs of (minutes, MiB) by part."""
    with mpl.rc_context({"svg.hashsalt": "memory"}):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        axes = figure.subplots()
        colours = mpl.colormaps["tab20"]
        ordered = sorted(held.items(), key=lambda each: -each[1][-1][1])
        for number, (name, points) in enumerate(ordered):
            colour = colours(number % 20)
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1.2, color=colour)
        axes.set(xlabel="minutes", ylabel="MiB", yscale="log", ylim=(_LEAST_MIB, None))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right upper", fontsize="small")
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
