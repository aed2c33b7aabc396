"""`make chaos`: everything that may go wrong, one after the other, and one table at the end.

    python -m tests.chaos [--seed 1] [--scale 1] [--only TEXT ...] [--seconds 3600]

A thirtieth of it is part of `make test`. The exit code is 0 only if every photo ended once.
"""

import argparse
import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

# What the front end's own code writes is of no use here.
os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"

from rich.console import Console
from rich.table import Table

from tests.chaos.rig import ROOT, Place
from tests.chaos.scenarios import SCENARIOS, Outcome, played

RESULTS = ROOT / ".local" / "chaos"
_DISK_SIZE = "700m"


@contextlib.contextmanager
def own_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small file system where that is allowed."""
    disk = folder / "disk"
    disk.mkdir(mode=0o711)
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", f"size={_DISK_SIZE},mode=711", "tmpfs", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Start the emulator and a database in a folder that is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="faces-chaos-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        with own_disk(folder) as disk, Place(folder, disk) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(outcomes: list[Outcome]) -> Table:
    """Return the table of all that was tried."""
    made = Table(title="Chaos", title_justify="left")
    made.add_column("what was done", min_width=40)
    for heading in ("tried", "survived", "lost", "stuck", "doubled", "wrong", "told again"):
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
        )
        style = "dim" if each.skipped else None if each.good else "bold red"
        times = (f"{each.recovery_seconds:.0f} s", f"{each.seconds:.0f} s")
        made.add_row(each.name, *(str(cell) for cell in cells), *times, style=style)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same faults")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is the long form")
    parser.add_argument("--only", nargs="*", default=[], help="scenarios whose name holds a text")
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin nothing after these")
    chosen = parser.parse_args()
    began = time.monotonic()
    console = Console(width=None if sys.stdout.isatty() else 130)
    wanted = [
        each
        for each in SCENARIOS
        if not chosen.only or any(text in each.name for text in chosen.only)
    ]
    logging.getLogger("front-end").setLevel(logging.CRITICAL)
    outcomes: list[Outcome] = []
    with place() as where:
        for number, each in enumerate(wanted, 1):
            if time.monotonic() - began > chosen.seconds:
                console.print(f"[bold red]out of time before {each.name}")
                break
            console.print(f"[{number}/{len(wanted)}] {each.name} ...", highlight=False)
            outcomes.append(played(where, each, chosen.scale, chosen.seed))
            for line in (*outcomes[-1].account.problems, *outcomes[-1].noticed):
                console.print(f"    {line}", highlight=False)
    console.print(table(outcomes))
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = {
        "seed": chosen.seed,
        "scale": chosen.scale,
        "scenarios": [asdict(each) for each in outcomes],
    }
    (RESULTS / "report.json").write_text(json.dumps(report, indent=1))
    return 0 if len(outcomes) == len(wanted) and all(each.good for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
