"""From POST /v1/jobs to a polled result, on an idle and warm local stack."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks.result import Figure, Outcome, percentile
from faces.client import Client
from local_stack.demo.photos import astronaut
from local_stack.progress import ConsoleProgress
from local_stack.settings import ROOT, LocalSettings
from local_stack.stack import LocalStack

NAME = "end-to-end"
SUMMARY = "POST /v1/jobs to a polled result, idle and warm"

RUNS = 20
WARM_UPS = 3
TARGET_P50_SECONDS = 1.5
_STATE = ROOT / ".local" / "benchmarks"


def measure(client: Client, photo: bytes, clock: Callable[[], float]) -> list[float]:
    """Return the seconds of `RUNS` jobs, one after the other, after the warm-ups."""
    for _ in range(WARM_UPS):
        client.identify(photo)
    seconds = []
    for _ in range(RUNS):
        started = clock()
        result = client.identify(photo)
        seconds.append(clock() - started)
        if result.cached:
            raise RuntimeError("The answer came from the cache; the worker was not measured.")
    return seconds


def run(console: Console) -> Outcome:
    """Start a local stack, measure, stop it."""
    state = _STATE / f"stack-{os.getpid()}"
    settings = LocalSettings.ephemeral(state, _environ(state))
    try:
        with (
            ConsoleProgress(console) as progress,
            LocalStack(settings, progress) as stack,
            Client(stack.url, stack.api_key) as client,
        ):
            seconds = measure(client, astronaut(), time.perf_counter)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    return outcome(seconds)


def outcome(seconds: list[float]) -> Outcome:
    """Return what the measured seconds say."""
    return Outcome(
        benchmark=NAME,
        figures=(
            Figure(name="p50", value=percentile(seconds, 50), unit="s", target=TARGET_P50_SECONDS),
            Figure(name="p95", value=percentile(seconds, 95), unit="s"),
            Figure(name="slowest", value=max(seconds), unit="s"),
        ),
        samples={"POST /v1/jobs to result": tuple(seconds)},
        sample_unit="s",
        notes=(f"{RUNS} runs, one after the other, of a 512 x 512 photo with one face",),
    )


def _environ(state: Path) -> dict[str, str]:
    state.mkdir(parents=True, exist_ok=True)
    own = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    # The same photo is sent each time: a worker must answer it each time.
    fixed = {"FACES_CACHE_ANSWERS": "false", "SCALER_MIN_INSTANCES": "1"}
    return {**own, "FACES_STACK": "faces-bench", **fixed}
