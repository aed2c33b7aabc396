"""The loads: each runs against a stack of its own, prints its table, returns what it missed."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from faces.client import Client, Photo
from faces.contracts.jobs import ContentType
from local_stack.stack import LocalStack
from tests.chaos.photos import photo as cheap_photo
from tests.fixtures.photos import encoded, public_photo
from tests.load.crowd import Crowd, crowd
from tests.load.plots import draw_memory, draw_stages
from tests.load.stack import CheapStack, real_networks, settings
from tests.load.stages import (
    ROOT,
    USERS,
    Limits,
    Stage,
    overload_violations,
    run_stage,
    violations,
)
from tests.load.usage import Usage

RESULTS = ROOT / ".local" / "load"
# On the two cores of a small machine, which the load shares with the service.
LIMITS = {
    4: Limits(0.0, 2_000),
    8: Limits(0.0, 4_000),
    12: Limits(0.0, 6_000),
    100: Limits(0.01, 45_000),
}
WARM_SECONDS = 20
# Warm, 4 at once answer some 40 requests a second: 16 that wait are let in within one, on a
# machine that does nothing else. 429 costs no process.
OVERLOAD, LET_IN_MS, SHED_MS = (50, 200), 5_000, 2_000
BURST_SECONDS = 60.0  # half of the seed's 120
# A photo in a crowd may take twice as long as one of four clients a moment before: whatever
# the machine can do, requests that wait must not slow down those that are served. The other
# seconds are for the second and third worker, and the Lambdas, that come only with the crowd.
CROWD_FACTOR, CROWD_SECONDS = 2.0, 30.0
# What a part may grow by in a third of the time, after the first third: more than its noise
# from one look to the next, much less than a leak of a few kB a job leaves.
GROWN_MIB, GROWN_SHARE = 8.0, 0.1
STEADY_SECONDS = 480.0


@dataclass
class Chosen:
    """What a run is told: where to print, a folder of its own, and the seconds of a stage."""

    console: Console
    folder: Path
    seconds: int


def face() -> bytes:
    """Return a small photo of a face, in the public domain."""
    return encoded(np.ascontiguousarray(public_photo("astronaut")[:200, 130:330]))


def different(photo: bytes, number: int) -> Photo:
    """Return a photo that no answer of before fits: bytes after its end are no part of it."""
    return Photo(photo + number.to_bytes(8, "big"), ContentType.JPEG, f"{number}.jpg")


def cheap(first: int, count: int) -> list[Photo]:
    """Return photos that differ from those of other numbers."""
    return [
        Photo(cheap_photo(number), ContentType.PNG, f"{number}.png")
        for number in range(first, first + count)
    ]


def stages(run: Chosen) -> list[str]:
    """Run 4, 8, 12 and 100 users, each for so many seconds, after it has warmed up."""
    sent = run.folder / "photo.jpg"
    sent.write_bytes(face())
    chosen = settings(
        run.folder / "stack", SCALER_MIN_INSTANCES="1", SCALER_MAX_INSTANCES="2", **real_networks()
    )
    done: list[Stage] = []
    found: list[str] = []
    with LocalStack(chosen) as stack, Usage(stack, seconds=5) as usage:
        environ = stack.client_environment()
        with Client(stack.url, stack.api_key) as client:
            client.identify(sent)  # the worker is there
        for users in USERS:
            # More users start more Lambdas, and more photos a second worker: once, and for
            # some seconds. What that costs is told apart from what lasts.
            cold = run_stage(users, WARM_SECONDS, environ, sent, run.folder)
            warm = run_stage(users, run.seconds, environ, sent, run.folder)
            done.append(replace(warm, cold_p95=cold.p95))
            if cold.failed:
                found.append(f"{users} users: {cold.failed} failed at first")
            run.console.print(f"    {users} users: {warm.jobs} jobs", highlight=False)
    headings = ("users", "jobs", "jobs/s", "p50 s", "p95 s", "p95 s while it starts", "failed")
    made = table("Users at once", *headings)
    for each in done:
        made.add_row(
            str(each.users),
            str(each.jobs),
            f"{each.jobs_per_second:.1f}",
            f"{each.p50 / 1000:.2f}",
            f"{each.p95 / 1000:.2f}",
            f"{each.cold_p95 / 1000:.1f}",
            f"{each.failure_rate:.1%}",
        )
    run.console.print(made)
    run.console.print(shares(usage))
    draw_stages(done, RESULTS / "stages.svg")
    (RESULTS / "stages.json").write_text(json.dumps([asdict(each) for each in done], indent=1))
    return [*found, *violations(done, LIMITS)]


def overload(run: Chosen) -> list[str]:
    """Ask more than the front door takes: who is let in, or turned away, learns it soon."""
    sent = run.folder / "photo.png"
    sent.write_bytes(cheap_photo(0))
    chosen = settings(
        run.folder / "stack",
        SCALER_MIN_INSTANCES="1",
        SCALER_MAX_INSTANCES="1",
        FRONT_DOOR_CONCURRENCY="4",
        FRONT_DOOR_QUEUE="16",
    )
    with CheapStack(chosen) as stack, Usage(stack, seconds=5) as usage:
        environ = {**stack.client_environment(), "LOAD_PATIENCE": "600"}
        run_stage(8, 10, environ, sent, run.folder, stop_seconds=10)
        done = [
            run_stage(users, run.seconds, environ, sent, run.folder, stop_seconds=10)
            for users in OVERLOAD
        ]
    headings = ("users", "jobs", "jobs/s", "let in p95 s", "answered 429", "429 p95 s")
    made = table("More than is taken: 4 at once, 16 waiting", *headings)
    for each in done:
        made.add_row(
            str(each.users),
            str(each.jobs),
            f"{each.jobs_per_second:.1f}",
            f"{each.let_in_p95 / 1000:.2f}",
            str(each.shed),
            f"{each.shed_p95 / 1000:.2f}",
        )
    run.console.print(made)
    run.console.print(shares(usage))
    return overload_violations(done, LET_IN_MS, SHED_MS)


def burst(run: Chosen) -> list[str]:
    """Answer 200 requests of 100 clients from an empty fleet."""
    chosen = settings(
        run.folder / "stack",
        SCALER_MIN_INSTANCES="0",
        SCALER_MAX_INSTANCES="4",
        SCALER_TICK_SECONDS="2",
        WORKER_THREADS="1",
        **real_networks(),
    )
    photo = face()
    with LocalStack(chosen) as stack, Usage(stack) as usage:
        done = crowd(stack, [different(photo, number) for number in range(200)], 100, 300)
    run.console.print(told("200 requests of 100 clients, from an empty fleet", done))
    run.console.print(shares(usage))
    return [f"200 requests took {done.took:.0f} s"] if done.took > BURST_SECONDS else []


def thousand(run: Chosen) -> list[str]:
    """Answer 1,000 photos of 100 clients at once, hardly slower a photo than those of four."""
    chosen = settings(run.folder / "stack", SCALER_MIN_INSTANCES="1", SCALER_MAX_INSTANCES="3")
    with CheapStack(chosen) as stack:
        crowd(stack, cheap(0, 20), 4, 120)  # the worker and the first Lambdas are there
        few = crowd(stack, cheap(100, 100), 4, 240)
        limit = CROWD_FACTOR * 1000 / few.rate + CROWD_SECONDS
        with Usage(stack) as usage:
            done = crowd(stack, cheap(1000, 1000), 100, 2 * limit)
    run.console.print(told("100 photos of 4 clients", few))
    run.console.print(told(f"1,000 photos of 100 clients (limit {limit:.0f} s)", done))
    run.console.print(shares(usage))
    return [f"took {done.took:.0f} s, not {limit:.0f} s"] if done.took > limit else []


def steady(run: Chosen) -> list[str]:
    """Do as many jobs as an hour of one every two seconds has, and watch the memory."""
    chosen = settings(run.folder / "stack", SCALER_MIN_INSTANCES="1", SCALER_MAX_INSTANCES="1")
    jobs, a_round = 1_800, 30
    every = STEADY_SECONDS / (jobs / a_round)
    with CheapStack(chosen) as stack:
        crowd(stack, cheap(0, 50), 8, 120)
        with Usage(stack, seconds=5) as usage:
            began = time.monotonic()
            for number in range(jobs // a_round):
                crowd(stack, cheap(1_000_000 + number * a_round, a_round), 8, 120)
                # As steady as the machine can: who is late does not hurry.
                time.sleep(max(0.0, began + (number + 1) * every - time.monotonic()))
            took = time.monotonic() - began
    found = []
    made = table(
        f"Memory over {jobs} jobs in {took:.0f} s", "part", "MiB after a third", "in the last third"
    )
    for name, (middle, end) in sorted(usage.growth().items()):
        made.add_row(name, f"{middle:.0f}", f"{end:.0f}")
        if end - middle > max(GROWN_MIB, GROWN_SHARE * middle):
            found.append(f"{name} grew from {middle:.0f} to {end:.0f} MiB")
    run.console.print(made)
    run.console.print(shares(usage))
    draw_memory(usage.over_time(), RESULTS / "memory.svg")
    (RESULTS / "memory.json").write_text(json.dumps(usage.over_time(), indent=1))
    return found


RUNS: dict[str, Callable[[Chosen], list[str]]] = {
    "stages": stages,
    "overload": overload,
    "burst": burst,
    "thousand": thousand,
    "steady": steady,
}


def table(title: str, first: str, *headings: str) -> Table:
    """Return an empty table whose first column are names, the others numbers."""
    made = Table(title=title, title_justify="left")
    made.add_column(first)
    for heading in headings:
        made.add_column(heading, justify="right")
    return made


def told(what: str, done: Crowd) -> str:
    """Return in words how a crowd went."""
    return (
        f"    {what}: {done.took:.0f} s, {done.rate:.1f}/s; sent after {done.sent:.0f} s, "
        f"half answered after {done.within(0.5):.0f} s, 95 % after {done.within(0.95):.0f} s"
    )


def shares(usage: Usage) -> Table:
    """Return a table of the cores that each part kept busy."""
    made = table("What the cores did", "part", "cores")
    for name, cores in sorted(usage.cores().items(), key=lambda each: -each[1]):
        made.add_row(name, f"{cores:.2f}")
    return made
