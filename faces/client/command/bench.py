"""`faces bench`: load from this computer."""

import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

import typer

from faces.client.command.exits import CommandError
from faces.client.command.output import show
from faces.client.command.progress import bar
from faces.client.command.recognise import Photos, TimeoutOption
from faces.client.command.session import CollectionOption, FormatOption, opened
from faces.client.command.sources import photos_of
from faces.client.errors import ApiError, ClientError, JobFailed
from faces.client.photos import load
from faces.contracts.jobs import JobKind, JobParams


@dataclass(frozen=True)
class Sample:
    """One request: how long it took in seconds, and how it failed where it did."""

    seconds: float
    error: str | None = None


def bench(
    context: typer.Context,
    photos: Photos,
    requests: Annotated[int, typer.Option("--requests", "-n", min=1, help="In all.")] = 100,
    users: Annotated[int, typer.Option("--users", "-u", min=1, help="At the same time.")] = 8,
    most_p95: Annotated[
        float | None, typer.Option("--most-p95", help="Fail when p95 is longer; seconds.")
    ] = None,
    collection: CollectionOption = "default",
    timeout: TimeoutOption = 120,
    chosen: FormatOption = None,
) -> None:
    """Measure from request to result: each user asks, waits for the answer, and asks again.

    Nothing is answered from the cache. Fails when a request failed.
    """
    loaded = [load(photo) for photo in photos_of(photos)[:requests]]
    kind, params = JobKind.IDENTIFY, JobParams(cache=False)
    with opened(context) as (session, client):
        clock = session.clock

        def one(number: int) -> Sample:
            photo = loaded[number % len(loaded)]
            return _timed(
                lambda: client.run(photo, kind, collection, params, timeout=timeout), clock
            )

        started = clock()
        with (
            bar(session, "bench", requests) as advance,
            ThreadPoolExecutor(users, thread_name_prefix="user") as pool,
        ):
            samples: list[Sample] = []
            for sample in pool.map(one, range(requests)):
                samples.append(sample)
                advance()
        figures = summary(samples, clock() - started)
        show(session, chosen, [figures], tuple(figures))
    failures = Counter(sample.error for sample in samples if sample.error)
    if failures:
        told = ", ".join(f"{code}: {count}" for code, count in failures.most_common())
        raise CommandError(
            f"{failures.total()} of {requests} requests failed ({told})",
            "Look at the service's logs and limits, or load it with fewer --users.",
        )
    if most_p95 is not None and float(figures["p95_s"]) > most_p95:
        raise CommandError(
            f"p95 is {figures['p95_s']:.2f} s, more than {most_p95:.2f} s",
            "Look at `faces watch` for the backlog and the fleet.",
        )


def summary(samples: list[Sample], wall: float) -> dict[str, float]:
    """Return the figures of a run; percentiles in seconds by nearest rank."""
    times = sorted(sample.seconds for sample in samples)

    def percentile(share: float) -> float:
        # Rounded first: 0.95 * 100 is a little more than 95.
        return round(times[math.ceil(round(share * len(times), 6)) - 1], 4)

    return {
        "requests": len(samples),
        "failed": sum(sample.error is not None for sample in samples),
        "requests_per_s": round(len(samples) / wall, 2) if wall > 0 else 0.0,
        "p50_s": percentile(0.50),
        "p95_s": percentile(0.95),
        "p99_s": percentile(0.99),
        "max_s": round(times[-1], 4),
    }


def _timed(ask: Callable[[], object], clock: Callable[[], float]) -> Sample:
    started = clock()
    try:
        ask()
    except (ApiError, JobFailed) as error:
        return Sample(clock() - started, str(error.code))
    except ClientError as error:
        return Sample(clock() - started, type(error).__name__)
    return Sample(clock() - started)
