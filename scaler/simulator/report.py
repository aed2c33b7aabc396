"""A comparison as a table on the terminal, as JSON, and as Markdown for the documentation."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from scaler.simulator.costs import TITLES, Row, row
from scaler.simulator.run import Result
from scaler.simulator.traces import Trace

_HEADINGS = (
    "rule",
    "cost $",
    "x clairvoyant",
    "p50 s",
    "p95 s",
    "p99 s",
    "peak",
    "launches",
    "wasted",
    "killed",
    "photos/inst.-hour",
)
_START, _END = "<!-- figures: {} -->", "<!-- end -->"


def table(trace: Trace, results: Sequence[Result]) -> Table:
    """Return the table of a trace."""
    made = Table(title=f"{trace.name}: {trace.title} ({trace.photos:,} photos)")
    for index, heading in enumerate(_HEADINGS):
        made.add_column(heading, justify="left" if index == 0 else "right")
    for result in results:
        made.add_row(*_cells(row(result)))
    return made


def write_json(path: Path, seed: int, results: Mapping[str, Sequence[Result]]) -> None:
    """Write every figure to a file."""
    traces = [
        {
            "trace": name,
            "title": rows[0].trace.title,
            "photos": rows[0].trace.photos,
            "horizon_seconds": rows[0].trace.horizon,
            "rules": [row(result).as_json() for result in rows],
        }
        for name, rows in results.items()
        if rows
    ]
    path.write_text(json.dumps({"seed": seed, "traces": traces}, indent=2) + "\n")


def update_markdown(path: Path, results: Mapping[str, Sequence[Result]]) -> None:
    """Put the tables between their marks in a Markdown file.

    Raises
    ------
    ValueError
        The file has no place for the figures of a trace.
    """
    text = path.read_text()
    for name, rows in results.items():
        start = _START.format(name)
        before, found, rest = text.partition(start)
        _, ended, after = rest.partition(_END)
        if not (found and ended):
            raise ValueError(f"{path} has no place for {name}: {start} ... {_END}")
        text = f"{before}{start}\n{_markdown(rows)}\n{_END}{after}"
    path.write_text(text)


def _markdown(results: Sequence[Result]) -> str:
    lines = [
        "| " + " | ".join(_HEADINGS) + " |",
        "|---|" + "---:|" * (len(_HEADINGS) - 1),
    ]
    lines += ["| " + " | ".join(_cells(row(result))) + " |" for result in results]
    return "\n".join(lines)


def _cells(figures: Row) -> list[str]:
    return [
        TITLES.get(figures.rule, figures.rule),
        f"{figures.cost:,.2f}",
        _number(figures.ratio, 2),
        _number(figures.p50, 1),
        _number(figures.p95, 1),
        _number(figures.p99, 1),
        f"{figures.peak:,}",
        f"{figures.launches:,}",
        f"{figures.wasted:,}",
        f"{figures.killed:,}",
        f"{figures.photos_per_instance_hour:,.0f}",
    ]


def _number(value: float, digits: int) -> str:
    if math.isnan(value):
        return "-"
    return "never" if math.isinf(value) else f"{value:,.{digits}f}"
