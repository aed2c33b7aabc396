"""Metrics leave as lines that CloudWatch understands."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from faces.contracts.errors import ErrorCode, PhotoError, TransientError
from faces.contracts.ids import new_id
from faces.contracts.jobs import JobMessage
from faces.contracts.names import upload_key
from faces.contracts.results import JobResult
from gpu_worker.breaker import FAILURES, Breaker
from gpu_worker.metrics import MAX_VALUES, Metrics
from gpu_worker.protocol import Task
from gpu_worker.queue import Received
from tests.fixtures.worker_fakes import NOW


@dataclass
class Bench:
    """Metrics whose clock is set by hand and whose lines are kept."""

    now: float = 1_000.0
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.breaker = Breaker("S3")
        self.metrics = Metrics(
            "faces-test",
            "i-0",
            [self.breaker],
            lambda line: self.lines.append(json.loads(line)),
            clock=lambda: self.now,
        )

    def flush(self, after: float) -> list[dict[str, Any]]:
        self.now += after
        self.lines.clear()
        self.metrics.flush()
        return list(self.lines)

    def end(self, error: PhotoError | None = None, *, stored: bool = True) -> None:
        job_id = new_id()
        task = Task(
            Received("m", "r", "", 1), JobMessage(job_id=job_id, key=upload_key(job_id), size=1)
        )
        if stored:
            task.result = JobResult(
                job_id=job_id,
                kind="detect",
                tenant="default",
                collection="default",
                state="failed" if error else "succeeded",
                error=error.info() if error else None,
                code_version="1",
                submitted_at=NOW,
                finished_at=NOW,
            )
        self.metrics.ended(task)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_line_is_in_the_embedded_metric_format(bench: Bench) -> None:
    bench.metrics.stage("detect", 0.0251, 1)
    bench.metrics.stage("embed", 0.01, 3)
    bench.end()
    [line] = bench.flush(after=2)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert line["_aws"]["Timestamp"] == 1_002_000
    assert directive["Namespace"] == "ElasticFaces"
    assert directive["Dimensions"] == [["Stack"]]
    assert line["Stack"] == "faces-test"
    for metric in directive["Metrics"]:
        assert metric["Name"] in line, "each metric that is announced has a value"
    assert line["DetectMilliseconds"] == [25.1]
    assert line["EmbedBatchSize"] == [3]
    assert "DetectBatchSize" not in line
    assert line["ImagesPerSecond"] == 0.5
    assert line["BreakerS3"] == 0


def test_each_flush_begins_anew(bench: Bench) -> None:
    bench.end()
    bench.flush(after=1)
    [line] = bench.flush(after=1)
    assert line["Images"] == 0


def test_failures_are_counted_by_code(bench: Bench) -> None:
    for _ in range(2):
        bench.end(PhotoError(ErrorCode.NO_FACE))
    bench.end(stored=False)
    first, failures = bench.flush(after=1)
    assert (first["Images"], first["HandedBack"]) == (2, 1)
    assert failures["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Stack", "Code"]]
    assert (failures["Code"], failures["Failures"]) == ("no_face", 2)


def test_an_open_breaker_shows(bench: Bench) -> None:
    for _ in range(FAILURES):
        with pytest.raises(TransientError), bench.breaker.watched():
            raise TransientError
    assert bench.flush(after=1)[0]["BreakerS3"] == 1


def test_a_line_stays_within_the_limits_of_the_format(bench: Bench) -> None:
    for number in range(10 * MAX_VALUES):
        bench.metrics.stage("detect", number / 1000, 1)
    [line] = bench.flush(after=1)
    values = line["DetectMilliseconds"]
    assert len(values) == MAX_VALUES
    assert (values[0], values[-1]) == (0, 999)


def test_utilisation_is_the_share_of_time_in_which_the_busier_network_works() -> None:
    bench = Bench()
    bench.metrics.stage("detect", 4, 1)
    bench.metrics.stage("detect", 2, 1)
    bench.metrics.stage("embed", 1, 3)
    bench.metrics.stage("fetch", 50, 1)
    (line,) = bench.flush(after=10)
    assert line["Utilisation"] == 60
    (line,) = bench.flush(after=10)
    assert line["Utilisation"] == 0
    assert line["code_version"]
