"""A comparison as a table on the terminal, as JSON, and as Markdown for the documentation."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from rich.table import Table

from scaler.simulator.costs import TITLES, Row, row
from scaler.simulator.run import Result
from scaler.simulator.seeds import Comparison
from scaler.simulator.traces import TRACES, Trace

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
_OVER_SEEDS = (
    "trace",
    "p95 s, mean",
    "plain rule's",
    "cost to plain rule's",
    "x clairvoyant, mean",
    "largest",
    "seeds on which both hold",
    "others",
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
        text = _replaced(text, name, _markdown(_HEADINGS, [_cells(row(each)) for each in rows]))
    path.write_text(text)


def update_seeds(path: Path, found: Sequence[Comparison]) -> None:
    """Put these traces' rows into the table over many seeds in a Markdown file.

    Rows of other traces stay, so that long traces can be done one by one.

    Raises
    ------
    ValueError
        The file has no place for it.
    """
    text = path.read_text()
    rows = {cells[0]: cells for cells in _rows(text, "seeds")}
    rows.update({each.trace: _over_seeds(each) for each in found})
    table = _markdown(_OVER_SEEDS, [rows[name] for name in TRACES if name in rows])
    path.write_text(_replaced(text, "seeds", table))


def seeds_table(found: Sequence[Comparison]) -> Table:
    """Return the table over many seeds."""
    made = Table(title="beside the plain rule, over all seeds")
    for index, heading in enumerate(_OVER_SEEDS):
        made.add_column(heading, justify="left" if index == 0 else "right")
    for each in found:
        made.add_row(*_over_seeds(each))
    return made


def _rows(text: str, name: str) -> list[list[str]]:
    """Return the cells of each row of the table at a mark."""
    table = text.partition(_START.format(name))[2].partition(_END)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _replaced(text: str, name: str, table: str) -> str:
    start = _START.format(name)
    before, found, rest = text.partition(start)
    _, ended, after = rest.partition(_END)
    if not (found and ended):
        raise ValueError(f"there is no place for {name}: {start} ... {_END}")
    return f"{before}{start}\n{table}\n{_END}{after}"


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|---|" + "---:|" * (len(headings) - 1)]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(lines)


def _over_seeds(found: Comparison) -> list[str]:
    ratios, misses = found.ratios, found.misses
    return [
        found.trace,
        f"{found.wait:.1f}",
        f"{found.plain_wait:.1f}",
        f"{found.cost:.3f}",
        f"{fmean(ratios):.3f}" if ratios else "",
        f"{max(ratios):.3f}" if ratios else "",
        f"{len(found.duels) - len(misses)} of {len(found.duels)}",
        ", ".join(map(str, misses)),
    ]


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
