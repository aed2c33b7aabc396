"""Measure the worker's accuracy: `make accuracy DATA=<folder> [JSON=<file>]`.

The folder is in LFW's form: `<person>/<person>_0001.jpg` (below `images/` or not) and
pairs.txt. An interrupted run goes on where it was; plots lie in `.local/accuracy`.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.accuracy.calibrate import CACHE
from benchmarks.accuracy.command import new_file, run
from benchmarks.accuracy.dataset import load
from benchmarks.accuracy.extract import Look, extract
from benchmarks.accuracy.measure import measure
from benchmarks.accuracy.report import print_report
from faces.contracts.worker_settings import DEFAULT_FALSE_ACCEPT_RATE
from gpu_worker.profiles import PROFILES


def main(arguments: list[str]) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    parser.add_argument("data", type=Path, help="folder in LFW's form")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="default")
    parser.add_argument("--folds", type=int, nargs="+", help="only these folds of the pairs")
    parser.add_argument("--width", type=int, default=0, help="scale photos to so many pixels")
    parser.add_argument("--json", type=new_file, help="also write every figure there")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rate", type=float, default=DEFAULT_FALSE_ACCEPT_RATE)
    given = parser.parse_args(arguments)
    console = Console()
    profile = PROFILES[given.profile]
    data = load(given.data, given.folds)
    records = extract(
        data.photos,
        [profile],
        CACHE,
        console,
        look=Look(given.width),
        processes=given.processes,
    )
    report = measure(profile, data, records, given.rate, plots=CACHE)
    print_report(report, console)
    console.print(f"Plots: {CACHE}/roc.png, det.png, rejection.png, reliability.png")
    if given.json is not None:
        given.json.write_text(json.dumps(report.document(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
