"""What the cache saves: reading results, and photos that come again."""

import os
import shutil
import time
from collections.abc import Callable

import boto3
from rich.console import Console

from benchmarks.result import Figure, Outcome, percentile
from chalice_app.aws import S3Objects
from faces.cache.valkey import ValkeyCache
from faces.client import Client
from faces.contracts.jobs import JobKind, JobParams
from faces.contracts.names import StackNames, result_key
from local_stack.demo.photos import astronaut
from local_stack.progress import ConsoleProgress
from local_stack.settings import ROOT, LocalSettings
from local_stack.stack import LocalStack

NAME = "cache"
SUMMARY = "reading a result, and the same photo again, with and without the cache"

READS = 200
PHOTOS = 15
TARGET_SAVED_PERCENT = 60
_STATE = ROOT / ".local" / "benchmarks"
_COLLECTION = "bench"


def run(console: Console) -> Outcome:
    """Start a local stack, measure, stop it."""
    state = _STATE / f"stack-{os.getpid()}"
    state.mkdir(parents=True, exist_ok=True)
    own = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    environ = {**own, "FACES_STACK": "faces-bench", "SCALER_MIN_INSTANCES": "1"}
    try:
        with (
            ConsoleProgress(console) as progress,
            LocalStack(LocalSettings.ephemeral(state, environ), progress) as stack,
            Client(stack.url, stack.api_key) as client,
        ):
            return outcome(*_reads(stack, client), *_photos(client))
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _reads(stack: LocalStack, client: Client) -> tuple[list[float], list[float]]:
    """Return the milliseconds of single reads of one result: from the cache, from S3."""
    job_id = client.identify(astronaut(), collection=_COLLECTION).job_id
    environment = stack.client_environment()
    names = StackNames(stack.settings.stack)
    s3 = S3Objects(
        boto3.client(
            "s3",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=environment["AWS_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
    )
    cache = ValkeyCache(environment["CACHE_URL"], stack.settings.stack, 3600)

    def from_cache() -> None:
        assert cache.result(job_id) is not None

    def from_s3() -> None:
        assert s3.read(names.out_bucket, result_key(job_id)) is not None

    return _timed(from_cache, READS), _timed(from_s3, READS)


def _photos(client: Client) -> tuple[list[float], list[float]]:
    """Return the milliseconds from sending a known photo to its answer: cached, worked on."""
    photo = astronaut()
    while not client.identify(photo, collection=_COLLECTION).cached:
        time.sleep(0.1)  # the answer is kept a moment after it is given

    def again(params: JobParams) -> None:
        result = client.run(photo, JobKind.IDENTIFY, _COLLECTION, params)
        assert result.cached is params.cache

    return (
        _timed(lambda: again(JobParams()), PHOTOS),
        _timed(lambda: again(JobParams(cache=False)), PHOTOS),
    )


def _timed(call: Callable[[], None], runs: int) -> list[float]:
    call()
    milliseconds = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return milliseconds


def outcome(
    cache_reads: list[float],
    s3_reads: list[float],
    cached_photos: list[float],
    fresh_photos: list[float],
) -> Outcome:
    """Return what the measured milliseconds say."""
    read, stored = percentile(cache_reads, 50), percentile(s3_reads, 50)
    cached, fresh = percentile(cached_photos, 50), percentile(fresh_photos, 50)
    return Outcome(
        benchmark=NAME,
        figures=(
            Figure(name="reading a result, p50", value=read, unit="ms", baseline=stored),
            Figure(
                name="saved by the cache",
                value=100 * (1 - read / stored),
                unit="%",
                target=TARGET_SAVED_PERCENT,
                better="higher",
            ),
            Figure(name="the same photo again, p50", value=cached, unit="ms", baseline=fresh),
        ),
        samples={
            "result from the cache": tuple(cache_reads),
            "result from S3": tuple(s3_reads),
            "repeated photo, cached": tuple(cached_photos),
            "repeated photo, worked on": tuple(fresh_photos),
        },
        sample_unit="ms",
        notes=(
            "baseline: the same without the cache, in the same run",
            "S3 is the emulator's; AWS takes some 20 ms for a read",
        ),
    )
