"""Compare rules for the size of the fleet on simulated traffic.

python -m scaler.simulate --trace burst --trace daily --plots .local/simulation
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from scaler.simulator.costs import with_bound
from scaler.simulator.plots import draw
from scaler.simulator.report import (
    seeds_table,
    table,
    update_markdown,
    update_seeds,
    write_json,
)
from scaler.simulator.run import RULES, Result, simulate
from scaler.simulator.seeds import compare
from scaler.simulator.traces import TRACES, make_trace

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    # The heavy one only when it is asked for.
    with_internet = options.docs and not options.seeds
    traces = options.trace or [name for name in TRACES if with_internet or name != "internet"]
    if options.seeds:
        rule = (options.rule or ["flow"])[0]
        over = list(compare(traces, rule, options.seeds, options.scale, os.cpu_count() or 1))
        console.print(seeds_table(over))
        if options.docs:
            update_seeds(DOCS / "scaling-simulation.md", over)
        return 0
    found: dict[str, list[Result]] = {}
    for name in traces:
        trace = make_trace(name, options.seed, options.scale)
        note_every = max(10.0, trace.horizon / 1500)
        found[name] = []
        for rule in options.rule or RULES:
            result = simulate(trace, rule, options.seed, note_every)
            console.print(f"[dim]{name}, {rule}: {result.seconds:.1f} s of the processor[/dim]")
            found[name].append(with_bound(result))
        console.print(table(trace, found[name]))
        pictures = DOCS / "images" if options.docs else options.plots
        if pictures:
            draw(pictures / f"simulation-{name}.png", found[name])
    if options.json:
        write_json(options.json, options.seed, found)
    if options.docs:
        update_markdown(DOCS / "scaling-simulation.md", found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scaler.simulate", description=__doc__)
    parser.add_argument(
        "--trace",
        action="append",
        choices=list(TRACES),
        help="a trace, may be repeated (default: all but internet)",
    )
    parser.add_argument(
        "--rule",
        action="append",
        choices=list(RULES),
        help="a rule, may be repeated (default: all)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of traffic, boot times and failures")
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="compare one rule (flow) with the plain one on the seeds 0 to N-1",
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="length of the traces, 1 for the whole ones"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw a picture for each trace")
    parser.add_argument(
        "--docs", action="store_true", help="write the figures and pictures of docs/"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
