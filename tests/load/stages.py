"""Stages of 4, 8, 12 and 100 users: p50, p95 and failure rate of each, held to limits."""

import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USERS = (4, 8, 12, 100)


@dataclass(frozen=True)
class Stage:
    """How one stage went; of whole jobs, times in milliseconds.

    Attributes
    ----------
    shed : requests that were answered 429; `shed_p95` is how long that took.
    let_in_p95 : from asking for an upload slot until it was given, of those let in.
    cold_p95 : of the seconds before the stage, in which what it needs was started.
    """

    users: int
    jobs: int
    failed: int
    jobs_per_second: float
    p50: float
    p95: float
    shed: int = 0
    shed_p95: float = 0.0
    let_in_p95: float = 0.0
    cold_p95: float = 0.0

    @property
    def failure_rate(self) -> float:
        return self.failed / self.jobs if self.jobs else 1.0


@dataclass(frozen=True)
class Limits:
    """What a stage must keep; times in milliseconds."""

    failure_rate: float
    p95: float


def violations(stages: Sequence[Stage], limits: Mapping[int, Limits]) -> list[str]:
    """Return in words what the stages do not keep."""
    found = []
    for stage in stages:
        limit = limits[stage.users]
        if stage.jobs == 0:
            found.append(f"{stage.users} users: no job was done")
            continue
        if stage.failure_rate > limit.failure_rate:
            found.append(
                f"{stage.users} users: {stage.failure_rate:.1%} failed, "
                f"{limit.failure_rate:.1%} are allowed"
            )
        if stage.p95 > limit.p95:
            found.append(f"{stage.users} users: p95 is {stage.p95:.0f} ms, not {limit.p95:.0f} ms")
    return found


def overload_violations(stages: Sequence[Stage], let_in: float, shed: float) -> list[str]:
    """Return in words what stages do not keep that ask for more than is taken.

    Parameters
    ----------
    let_in, shed : milliseconds within which who is let in, or turned away, learns it (p95).
    """
    # Who is let in is answered, whatever the others are told; how soon says `let_in`.
    answered = Limits(0.01, float("inf"))
    found = violations(stages, {stage.users: answered for stage in stages})
    for stage in stages:
        for what, p95, limit in (
            ("let in", stage.let_in_p95, let_in),
            ("turned away", stage.shed_p95, shed),
        ):
            if p95 > limit:
                found.append(f"{stage.users} users: {what} after {p95:.0f} ms, not {limit:.0f} ms")
    if not stages[-1].shed:
        found.append("nobody was turned away")
    return found


def read_stage(users: int, statistics: Path) -> Stage:
    """Return what Locust wrote of one stage (`--csv`)."""
    with statistics.open() as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    row = rows.get("whole job")
    if row is None:
        return Stage(users, 0, 0, 0.0, 0.0, 0.0)
    nothing = {"Request Count": "0", "95%": "0"}
    shed, let_in = rows.get("shed", nothing), rows.get("let in", nothing)
    return Stage(
        users=users,
        jobs=int(row["Request Count"]),
        failed=int(row["Failure Count"]),
        jobs_per_second=float(row["Requests/s"]),
        p50=float(row["50%"]),
        p95=float(row["95%"]),
        shed=int(shed["Request Count"]),
        shed_p95=float(shed["95%"]),
        let_in_p95=float(let_in["95%"]),
    )


def run_stage(
    users: int,
    seconds: int,
    environ: Mapping[str, str],
    photo: Path,
    to: Path,
    *,
    stop_seconds: int = 60,
) -> Stage:
    """Run Locust with so many users for so long against the stack of `environ`.

    Parameters
    ----------
    stop_seconds : so long a job may go on after the stage.

    Raises
    ------
    RuntimeError
        When Locust itself fails.
    """
    prefix = to / f"{users}-users"
    command = [
        *(sys.executable, "-m", "locust", "-f", str(ROOT / "tests" / "load" / "users.py")),
        *("--headless", "--only-summary", "-u", str(users), "-r", str(users)),
        *("-t", f"{seconds}s", "--stop-timeout", str(stop_seconds), "--csv", str(prefix)),
        *("--exit-code-on-error", "0"),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, **environ, "LOAD_PHOTO": str(photo)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return read_stage(users, prefix.with_name(prefix.name + "_stats.csv"))
