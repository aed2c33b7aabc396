"""`make load`: many users against a local stack, with limits that fail the run.

python -m tests.load                    # all
python -m tests.load stages burst       # some
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from faces.client import Client, Photo
from faces.client.retry import RetryPolicy
from faces.contracts.jobs import ContentType, JobState
from local_stack.stack import LocalStack
from tests.chaos.photos import photo as cheap_photo
from tests.fixtures.photos import encoded, public_photo
from tests.load.stack import CheapStack, Memory, real_networks, settings
from tests.load.stages import ROOT, USERS, Limits, plot, run_stage, violations

RESULTS = ROOT / ".local" / "load"
# On the two cores of a small machine, which the load shares with the service.
LIMITS = {
    4: Limits(0.0, 5_000),
    8: Limits(0.0, 8_000),
    12: Limits(0.0, 12_000),
    100: Limits(0.01, 60_000),
}
OVERLOAD, LET_IN_MS = (50, 200), 30_000
BURST_SECONDS = 120.0
FLAT_MIB, FLAT_SHARE = 60.0, 0.25
PATIENT = RetryPolicy(tries=30, max_retry_after_seconds=120)


def face() -> bytes:
    """Return a small photo of a face, in the public domain."""
    return encoded(np.ascontiguousarray(public_photo("astronaut")[:200, 130:330]))


def different(photo: bytes, number: int) -> Photo:
    """Return a photo that no answer of before fits: bytes after its end are no part of it."""
    return Photo(photo + number.to_bytes(8, "big"), ContentType.JPEG, f"{number}.jpg")


def stages(console: Console, folder: Path, seconds: int) -> list[str]:
    """Run 4, 8, 12 and 100 users, each for `seconds`."""
    sent = folder / "photo.jpg"
    sent.write_bytes(face())
    chosen = settings(
        folder / "stack", SCALER_MIN_INSTANCES="1", SCALER_MAX_INSTANCES="2", **real_networks()
    )
    with LocalStack(chosen) as stack:
        with Client(stack.url, stack.api_key) as client:
            client.identify(sent)  # the worker is there
        done = []
        for users in USERS:
            done.append(run_stage(users, seconds, stack.client_environment(), sent, folder))
            console.print(f"    {users} users: {done[-1].jobs} jobs", highlight=False)
    made = Table(title="Users at once", title_justify="left")
    for heading in ("users", "jobs", "jobs/s", "p50 ms", "p95 ms", "failed"):
        made.add_column(heading, justify="right")
    for each in done:
        made.add_row(
            str(each.users),
            str(each.jobs),
            f"{each.jobs_per_second:.1f}",
            f"{each.p50:.0f}",
            f"{each.p95:.0f}",
            f"{each.failure_rate:.1%}",
        )
    console.print(made)
    plot(done, RESULTS / "stages.png")
    (RESULTS / "stages.json").write_text(json.dumps([asdict(each) for each in done], indent=1))
    return violations(done, LIMITS)


def overload(console: Console, folder: Path, seconds: int) -> list[str]:
    """Ask more than the front door takes: who is let in, or turned away, learns it soon."""
    sent = folder / "photo.png"
    sent.write_bytes(cheap_photo(0))
    chosen = settings(
        folder / "stack",
        SCALER_MIN_INSTANCES="1",
        SCALER_MAX_INSTANCES="1",
        FRONT_DOOR_CONCURRENCY="4",
        FRONT_DOOR_QUEUE="16",
    )
    with CheapStack(chosen) as stack:
        environ = {**stack.client_environment(), "LOAD_PATIENCE": "600"}
        done = [
            run_stage(users, seconds, environ, sent, folder, stop_seconds=10) for users in OVERLOAD
        ]
    found = []
    made = Table(title="More than is taken: 4 at once, 16 waiting", title_justify="left")
    for heading in ("users", "jobs", "jobs/s", "let in p95 ms", "answered 429", "429 p95 ms"):
        made.add_column(heading, justify="right")
    for each in done:
        made.add_row(
            str(each.users),
            str(each.jobs),
            f"{each.jobs_per_second:.1f}",
            f"{each.let_in_p95:.0f}",
            str(each.shed),
            f"{each.shed_p95:.0f}",
        )
        for what, p95 in (("let in", each.let_in_p95), ("turned away", each.shed_p95)):
            if p95 > LET_IN_MS:
                found.append(f"{each.users} users: {what} after {p95:.0f} ms")
    console.print(made)
    if not done[-1].shed:
        found.append("nobody was turned away")
    return found


def many(stack: LocalStack, photos: list[Photo], clients: int, seconds: float) -> float:
    """Send photos from so many clients at once; return the seconds until the last answer.

    Raises
    ------
    AssertionError
        When one did not succeed.
    """
    began = time.monotonic()
    with Client(stack.url, stack.api_key, retry=PATIENT) as client, ThreadPoolExecutor(
        clients
    ) as pool:  # fmt: skip
        jobs = [made.job_id for made in pool.map(client.send, photos)]
        views = pool.map(lambda job: client.wait(job, timeout=seconds), jobs)
        states = [view.state for view in views]
    wrong = [state for state in states if state is not JobState.SUCCEEDED]
    assert not wrong, f"{len(wrong)} of {len(photos)} did not succeed: {set(wrong)}"
    return time.monotonic() - began


def burst(console: Console, folder: Path, _seconds: int) -> list[str]:
    """Answer 200 requests of 100 clients from an empty fleet."""
    chosen = settings(
        folder / "stack",
        SCALER_MIN_INSTANCES="0",
        SCALER_MAX_INSTANCES="4",
        SCALER_TICK_SECONDS="2",
        WORKER_THREADS="1",
        **real_networks(),
    )
    photo = face()
    with LocalStack(chosen) as stack:
        photos = [different(photo, number) for number in range(200)]
        took = many(stack, photos, 100, 300)
    console.print(f"    200 requests from an empty fleet: {took:.0f} s", highlight=False)
    return [f"200 requests took {took:.0f} s"] if took > BURST_SECONDS else []


def thousand(console: Console, folder: Path, _seconds: int) -> list[str]:
    """Answer 1,000 photos of 100 clients at once."""
    chosen = settings(folder / "stack", SCALER_MIN_INSTANCES="1", SCALER_MAX_INSTANCES="3")
    with CheapStack(chosen) as stack:
        photos = [
            Photo(cheap_photo(number), ContentType.PNG, f"{number}.png") for number in range(1000)
        ]
        took = many(stack, photos, 100, 400)
    console.print(f"    1,000 photos of 100 clients: {took:.0f} s", highlight=False)
    return []


def steady(console: Console, folder: Path, seconds: int) -> list[str]:
    """Do as many jobs as an hour of one every two seconds has, and watch the memory."""
    chosen = settings(folder / "stack", SCALER_MIN_INSTANCES="1", SCALER_MAX_INSTANCES="1")
    most = 8 * seconds
    with CheapStack(chosen) as stack:
        memory, over = Memory(stack), threading.Event()

        def watch() -> None:
            while not over.wait(2):
                memory.sample()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        done, began, round_ = 0, time.monotonic(), 0
        while done < 1_800 and time.monotonic() - began < most:
            photos = [
                Photo(cheap_photo(1_000_000 + done + n), ContentType.PNG, "a.png")
                for n in range(50)
            ]
            many(stack, photos, 8, 120)
            done, round_ = done + len(photos), round_ + 1
        over.set()
        watcher.join()
        took = time.monotonic() - began
    found = []
    made = Table(title=f"Memory over {done} jobs in {took:.0f} s", title_justify="left")
    for heading in ("part", "MiB in the middle", "MiB at the end"):
        made.add_column(heading, justify="left" if heading == "part" else "right")
    for name, (middle, end) in sorted(memory.growth().items()):
        made.add_row(name, f"{middle:.0f}", f"{end:.0f}")
        if end - middle > max(FLAT_MIB, FLAT_SHARE * middle):
            found.append(f"{name} grew from {middle:.0f} to {end:.0f} MiB")
    console.print(made)
    return found


RUNS: dict[str, Callable[[Console, Path, int], list[str]]] = {
    "stages": stages,
    "overload": overload,
    "burst": burst,
    "thousand": thousand,
    "steady": steady,
}


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
        console.print(f"{name} ...")
        with tempfile.TemporaryDirectory(prefix="faces-load-") as folder:
            missed += [
                f"{name}: {each}" for each in RUNS[name](console, Path(folder), chosen.seconds)
            ]
    for each in missed:
        console.print(f"[bold red]{each}", highlight=False)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
