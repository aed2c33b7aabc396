"""Run benchmarks: a table, `benchmarks/results/latest.json` and a plot for each.

    python -m benchmarks                # all
    python -m benchmarks end-to-end     # some
    python -m benchmarks memory --soak 10000

Another benchmark is another module with `NAME`, `SUMMARY` and `run(console) -> Outcome`,
listed in `BENCHMARKS`.
"""

import argparse
import importlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.ending import end_in_order
from benchmarks.memory import PHOTOS
from benchmarks.plot import plot
from benchmarks.result import Figure, Machine, Outcome, Report
from faces.contracts.version import CODE_VERSION

BENCHMARKS = (
    "benchmarks.worker",
    "benchmarks.profile",
    "benchmarks.memory",
    "benchmarks.search",
    "benchmarks.people",
    "benchmarks.end_to_end",
    "benchmarks.cache",
)
RESULTS = Path(__file__).resolve().parent / "results"


class Benchmark(Protocol):
    """What a module of `BENCHMARKS` has."""

    NAME: str
    SUMMARY: str

    def run(self, console: Console) -> Outcome: ...


def load() -> dict[str, Benchmark]:
    """Return the benchmarks by name."""
    modules = [cast(Benchmark, importlib.import_module(name)) for name in BENCHMARKS]
    return {module.NAME: module for module in modules}


def table(report: Report) -> Table:
    """Return the figures as a table."""
    machine = report.machine
    title = f"{machine.processor}, {machine.cores} cores"
    made = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("benchmark")
    made.add_column("figure")
    for heading in ("measured", "target", "baseline"):
        made.add_column(heading, justify="right")
    made.add_column("ok")
    for outcome in report.outcomes:
        for figure in outcome.figures:
            met = {True: "[green]yes[/]", False: "[bold red]NO[/]", None: ""}[figure.met]
            made.add_row(outcome.benchmark, figure.name, *_numbers(figure), met)
    return made


def _numbers(figure: Figure) -> tuple[str, str, str]:
    sign = "≤" if figure.better == "lower" else "≥"
    target = "" if figure.target is None else f"{sign} {figure.target:g} {figure.unit}"
    baseline = "" if figure.baseline is None else f"{figure.baseline:.3g} {figure.unit}"
    return f"{figure.value:.3g} {figure.unit}", target, baseline


def main(arguments: list[str]) -> int:
    """Run the chosen benchmarks; return 0 when every target was met."""
    benchmarks = load()
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    known = "; ".join(f"{name}: {each.SUMMARY}" for name, each in benchmarks.items())
    parser.add_argument("names", nargs="*", metavar="benchmark", help=known)
    parser.add_argument(
        "--soak", type=int, metavar="PHOTOS", help="how many photos `memory` sends (500)"
    )
    asked = parser.parse_args(arguments)
    if asked.soak:
        os.environ[PHOTOS] = str(asked.soak)
    chosen = asked.names or list(benchmarks)
    for name in chosen:
        if name not in benchmarks:
            parser.error(f"unknown benchmark {name!r}; there are {', '.join(benchmarks)}")
    console = Console()
    outcomes = []
    for name in chosen:
        console.print(f"[bold]{name}[/]: {benchmarks[name].SUMMARY}")
        outcomes.append(benchmarks[name].run(console))
        plot(outcomes[-1], RESULTS / f"{name}.png")
    report = Report(
        code_version=CODE_VERSION,
        measured_at=datetime.now(UTC),
        machine=Machine.this(),
        outcomes=tuple(outcomes),
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(report.model_dump_json(indent=2) + "\n")
    console.print(table(report))
    for outcome in outcomes:
        for note in outcome.notes:
            console.print(f"[dim]{outcome.benchmark}: {note}[/]", highlight=False)
    console.print("Kept in benchmarks/results/latest.json, plots beside it.")
    missed = any(figure.met is False for outcome in outcomes for figure in outcome.figures)
    return 1 if missed else 0


if __name__ == "__main__":
    end_in_order()
    sys.exit(main(sys.argv[1:]))
