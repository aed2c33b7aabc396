"""Draw the CloudWatch dashboards: `python -m docs.dashboard_pictures`.

Charts, titles, lines and axes are those of `infra/watch.json`; the figures are made up: an
hour in which 400 photos come at once. CloudWatch draws the same with figures of your own.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from infra.watch import TARGET

Values = npt.NDArray[np.float64]

IMAGES = Path(__file__).resolve().parent / "images"
MINUTES = np.arange(60.0)
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
_STAGES = {
    "Fetch": 38,
    "Decode": 21,
    "Detect": 96,
    "Crop": 6,
    "Embed": 44,
    "Match": 4,
    "Store": 31,
    "Announce": 12,
}


def _at(minute: float, width: float) -> Values:
    return np.asarray(np.exp(-(((MINUTES - minute) / width) ** 2)))


def made_up() -> dict[str, Values]:
    """Return a line for each metric, or, after a slash, for each value of its dimension."""
    noise = np.random.default_rng(7)
    none = np.zeros_like(MINUTES)
    photos = noise.poisson(6 + 400 * _at(20, 1.2) / 2.1).astype(float)
    work = noise.poisson(6 + 60 * np.clip((MINUTES - 21) / 4, 0, 1) * (MINUTES < 29)).astype(float)
    backlog = np.where((MINUTES > 18) & (MINUTES < 30), 400 * _at(22, 4.0), 2.0)
    desired = np.clip(np.ceil(backlog / 5), 1, 15)
    running = np.clip(np.roll(desired, 2), 1, 15)
    late = 0.4 + backlog / 25
    refused = noise.poisson(0.4, len(MINUTES)).astype(float)
    launched = np.clip(np.diff(desired, prepend=1.0), 0, None)
    cost = 0.9 + np.cumsum(running) * 0.526 / 60
    return {
        "UploadsQueued": photos,
        "UploadsRefused": refused,
        "AnswersRepeated": noise.poisson(1.2, len(MINUTES)).astype(float),
        "DeadLetters": none,
        "EndToEndSeconds": late,
        "JobsFinished/identify succeeded": work,
        "JobsFinished/enroll succeeded": noise.poisson(1.0, len(MINUTES)).astype(float),
        "JobsFinished/identify failed": refused,
        "Failures/not_an_image": refused,
        "Failures/corrupt_image": noise.poisson(0.15, len(MINUTES)).astype(float),
        "Requests": 3 * photos + 40,
        "ServerErrors": none,
        "RequestMilliseconds": 60 + photos / 4 + noise.normal(0, 4, len(MINUTES)),
        "Callbacks/delivered": work / 2,
        "CallbackFailures": noise.poisson(0.2, len(MINUTES)).astype(float),
        "Backlog": backlog,
        "OldestMessageSeconds": np.roll(backlog, 2) / 3,
        "DesiredInstances": desired,
        "RunningInstances": running,
        "BootingInstances": np.clip(desired - running, 0, None),
        "DrainingInstances": np.clip(running - desired, 0, None) / 4,
        "Utilisation": np.clip(12 + 80 * (backlog > 5) + noise.normal(0, 3, len(MINUTES)), 0, 100),
        "Images": work,
        "InstanceCost": cost,
        "InstanceHours": cost / 0.526,
        "PhotosPerInstanceHour": 260 + np.cumsum(work) / 4,
        "Launches": launched,
        "Terminations": np.clip(-np.diff(desired, prepend=1.0), 0, None),
        "CapacityErrors": np.where(MINUTES == 20, 1.0, 0.0),
        "ScalingFailures": none,
        "BreakerState": none,
        "ScalingSuccessRate": np.where(MINUTES == 20, 93.0, 100.0),
        "BreakerS3": none,
        "BreakerSQS": none,
        "BreakerPostgreSQL": none,
        "HandedBack": np.where(MINUTES == 31, 3.0, 0.0),
        **{
            f"{stage}Milliseconds": milliseconds + noise.normal(0, milliseconds / 12, len(MINUTES))
            for stage, milliseconds in _STAGES.items()
        },
    }


def lines(properties: Mapping[str, Any]) -> Iterator[tuple[str, Values, bool]]:
    """Yield label, values and whether it is of the right axis, of each line that is seen.

    Raises
    ------
    KeyError
        When nothing was made up for a metric.
    """
    figures = made_up()
    slower = {"p50": 1.0, "p95": 1.9, "p99": 2.6}
    for metric in properties["metrics"]:
        options: dict[str, Any] = metric[-1]
        if not options.get("visible", True):
            continue
        right = options.get("yAxis") == "right"
        expression = options.get("expression", "")
        if expression.startswith("SEARCH"):
            found = re.search(r'MetricName="(\w+)"', expression)
            assert found is not None, expression
            values = {
                name: each for name, each in figures.items() if name.startswith(f"{found[1]}/")
            }
            if not values:
                raise KeyError(found[1])
            for name, each in values.items():
                yield name.split("/")[1], each, right
        elif expression:
            photos = figures["PhotosPerInstanceHour"] * figures["InstanceHours"]
            yield options["label"], 1000 * figures["InstanceCost"] / photos, right
        else:
            name = metric[1]
            scale = slower.get(options["stat"], 1.0) if name == "EndToEndSeconds" else 1.0
            yield options["label"], scale * figures[name], right


def draw(properties: Mapping[str, Any], axes: Axes) -> None:
    """Draw one chart."""
    axes.set_title(properties["title"], loc="left", fontsize=10, fontweight="bold")
    shown = list(lines(properties))
    other = axes.twinx() if any(right for *_, right in shown) else None
    handles: list[Any] = []
    if properties["stacked"]:
        handles += axes.stackplot(
            MINUTES,
            [values for _, values, _ in shown],
            labels=[label for label, *_ in shown],
            colors=_COLOURS,
            alpha=0.75,
        )
    else:
        for (label, values, right), colour in zip(shown, _COLOURS, strict=False):
            place = other if right and other is not None else axes
            handles += place.plot(MINUTES, values, label=label, color=colour, linewidth=1.3)
    for each in (axes, other):
        if each is not None:
            each.set_ylim(0, max(1.0, each.get_ylim()[1]))
            each.tick_params(labelsize=7)
            each.spines["top"].set_visible(False)
    unit = properties.get("yAxis", {}).get("left", {}).get("label", "")
    axes.set_ylabel(unit, fontsize=8)
    axes.set_xlim(0, 59)
    axes.set_xticks([0, 15, 30, 45], ["10:00", "10:15", "10:30", "10:45"])
    axes.grid(axis="y", color="#e3e6ea", linewidth=0.6)
    axes.legend(
        handles=handles,
        fontsize=7,
        ncols=4,
        loc="upper left",
        bbox_to_anchor=(-0.01, -0.12),
        frameon=False,
        columnspacing=1.0,
        handlelength=1.2,
    )


def dashboards() -> dict[str, list[dict[str, Any]]]:
    """Return the widgets of each dashboard of the template, by the end of its name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for resource in json.loads(TARGET.read_text("utf-8"))["Resources"].values():
        if resource["Type"] == "AWS::CloudWatch::Dashboard":
            properties = resource["Properties"]
            name = properties["DashboardName"]["Fn::Sub"].rsplit("-", 1)[1]
            found[name] = json.loads(properties["DashboardBody"]["Fn::Sub"])["widgets"]
    return found


def picture(name: str, widgets: list[dict[str, Any]]) -> Figure:
    """Return the picture of a dashboard, two charts beside each other."""
    rows = -(-len(widgets) // 2)
    figure = Figure(figsize=(11, 2.35 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"<stack>-{name}: an example, its figures are made up", fontsize=11, x=0.5)
    grid = figure.subplots(rows, 2, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number < len(widgets):
            draw(widgets[number]["properties"], axes)
        else:
            axes.set_axis_off()
    return figure


def drawn_from(widgets: list[dict[str, Any]]) -> str:
    """Return what stands for a dashboard's definition; it is kept in its picture."""
    return hashlib.sha256(json.dumps(widgets, sort_keys=True).encode()).hexdigest()


def file(name: str) -> Path:
    """Return where the picture of a dashboard is."""
    return IMAGES / f"dashboard-{name}.png"


def main() -> None:
    """Write the pictures."""
    for name, widgets in dashboards().items():
        metadata = {"Description": drawn_from(widgets)}
        picture(name, widgets).savefig(file(name), dpi=90, metadata=metadata)


if __name__ == "__main__":
    main()
