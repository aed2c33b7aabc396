"""`make load`: many users against a local stack, with limits that fail the run.

python -m tests.load                    # all
python -m tests.load stages burst       # some
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.load.runs import RESULTS, RUNS, Chosen
from tests.load.stages import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}")
    parser.add_argument("--seconds", type=int, default=20, help="of each stage")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(RUNS):
        parser.error(f"unknown: {', '.join(unknown)}")
    console = Console(width=None if sys.stdout.isatty() else 100)
    RESULTS.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MPLCONFIGDIR", str(ROOT / ".local" / "matplotlib"))
    missed = []
    for name in chosen.names or RUNS:
        load = "/".join(f"{each:.1f}" for each in os.getloadavg())
        console.print(f"{name} ... (load before it: {load})", highlight=False)
        with tempfile.TemporaryDirectory(prefix="faces-load-") as folder:
            found = RUNS[name](Chosen(console, Path(folder), chosen.seconds))
        missed += [f"{name}: {each}" for each in found]
    for each in missed:
        console.print(f"[bold red]{each}", highlight=False)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
