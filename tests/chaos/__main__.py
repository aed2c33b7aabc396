"""`make chaos`: everything that may go wrong, one after the other, and one table at the end.

    python -m tests.chaos [--seed 1] [--scale 1] [--only TEXT ...] [--seconds 3600]

First on rigs, several at once, then (without `--only`) on a whole local stack. A part of it
is in `make test`. The exit code is 0 only if every photo ended once.
"""

import argparse
import contextlib
import io
import json
import logging
import sys
import time
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.chaos.fleet import ROOT
from tests.chaos.place import place
from tests.chaos.play import Outcome, played_all
from tests.chaos.rows import whole_stack
from tests.chaos.scenarios import SCENARIOS

RESULTS = ROOT / ".local" / "chaos"


def table(outcomes: list[Outcome]) -> Table:
    """Return the table of all that was tried."""
    made = Table(title="Chaos", title_justify="left")
    made.add_column("what was done", min_width=40)
    for heading in (
        "tried",
        "survived",
        "lost",
        "stuck",
        "doubled",
        "wrong",
        "told again",
        "put back",
    ):
        made.add_column(heading, justify="right")
    for heading in ("recovered in", "took"):
        made.add_column(heading, justify="right")
    for each in outcomes:
        counted = each.account
        cells = (
            counted.tried,
            counted.survived,
            counted.lost,
            counted.stuck,
            counted.doubled,
            counted.wrong,
            counted.repeated,
            counted.put_back,
        )
        style = "dim" if each.skipped else None if each.good else "bold red"
        times = (f"{each.recovery_seconds:.0f} s", f"{each.seconds:.0f} s")
        made.add_row(each.name, *(str(cell) for cell in cells), *times, style=style)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same faults")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is the long form")
    parser.add_argument("--at-once", type=int, default=2, help="scenarios at the same time")
    parser.add_argument("--only", nargs="*", default=[], help="scenarios whose name holds a text")
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin nothing after these")
    chosen = parser.parse_args()
    began = time.monotonic()
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)
    wanted = [
        each
        for each in SCENARIOS
        if not chosen.only or any(text in each.name for text in chosen.only)
    ]
    logging.getLogger("front-end").setLevel(logging.CRITICAL)
    # The metrics of the front end's code, which it prints, are of no use here.
    with place() as where, contextlib.redirect_stdout(io.StringIO()):
        outcomes = played_all(
            where,
            wanted,
            chosen.scale,
            chosen.seed,
            at_once=chosen.at_once,
            say=lambda line: console.print(
                f"{time.monotonic() - began:5.0f} s  {line}", highlight=False
            ),
            until=began + chosen.seconds,
        )
    complete = len(outcomes) == len(wanted)
    if not chosen.only:
        outcomes += whole_stack()
    console.print(table(outcomes))
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = {
        "seed": chosen.seed,
        "scale": chosen.scale,
        "scenarios": [asdict(each) for each in outcomes],
    }
    (RESULTS / "report.json").write_text(json.dumps(report, indent=1))
    return 0 if complete and all(each.good for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
