"""A job's trace follows from its id; every part reports under it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chalice_app import batch, notify
from faces import tracing
from faces.contracts.ids import new_job_id
from faces.contracts.jobs import JobDone, JobKind, JobMessage, JobRequest
from faces.contracts.names import StackNames, upload_key
from faces.contracts.results import JobResult
from gpu_worker.protocol import Task
from gpu_worker.queue import Received
from gpu_worker.stages.announce import Announce
from tests.fixtures.worker_fakes import FakeQueue
from tests.unit.chalice_app.fakes import FakeQueues

JOB = new_job_id(b"secret", "default", datetime(2026, 11, 21, 12, tzinfo=UTC))


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(5)
        yield made


def received(daemon: socket.socket) -> Any:
    header, document = daemon.recv(65_535).split(b"\n", 1)
    assert json.loads(header) == {"format": "json", "version": 1}
    return json.loads(document)


def address(daemon: socket.socket) -> str:
    return f"127.0.0.1:{daemon.getsockname()[1]}"


def test_the_trace_id_is_one_that_x_ray_takes_and_always_the_same() -> None:
    version, seconds, rest = tracing.trace_id(JOB).split("-")
    assert (version, len(seconds), len(rest)) == ("1", 8, 24)
    assert int(seconds, 16) == datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
    int(rest, 16)
    assert tracing.trace_id(JOB) == tracing.trace_id(JOB)
    other = new_job_id(b"secret", "default", datetime(2026, 11, 21, 12, tzinfo=UTC))
    assert tracing.trace_id(other) != tracing.trace_id(JOB)


def test_all_parts_hang_below_the_request() -> None:
    first = tracing.segment(JOB, tracing.FIRST, 1.0, 1.5)
    worker = tracing.segment(JOB, "worker", 2.0, 3.0, stages={"fetch": 0.25, "detect": 0.5})
    assert first["trace_id"] == worker["trace_id"] == tracing.trace_id(JOB)
    assert "parent_id" not in first
    assert worker["parent_id"] == first["id"]
    times = [(e["name"], e["start_time"], e["end_time"]) for e in worker["subsegments"]]
    assert times == [("fetch", 2.0, 2.25), ("detect", 2.25, 2.75)]
    assert worker["annotations"]["job_id"] == JOB


def test_a_segment_reaches_the_daemon(daemon: socket.socket, monkeypatch: Any) -> None:
    for written in (address(daemon), f"tcp:127.0.0.1:1 udp:{address(daemon)}"):
        monkeypatch.setenv(tracing.DAEMON_VARIABLE, written)
        with tracing.traced(JOB, "intake", iter([1.0, 2.5]).__next__):
            pass
        found = received(daemon)
        assert (found["start_time"], found["end_time"]) == (1.0, 2.5)
        assert "fault" not in found


def test_a_part_that_fails_says_so_and_fails_all_the_same(
    daemon: socket.socket, monkeypatch: Any
) -> None:
    monkeypatch.setenv(tracing.DAEMON_VARIABLE, address(daemon))
    with pytest.raises(KeyError), tracing.traced(JOB, "intake"):
        raise KeyError
    assert received(daemon)["fault"] is True


@pytest.mark.parametrize("wrong", ["", "nowhere", "127.0.0.1:x", "300.1.1.1:2000"])
def test_no_daemon_disturbs_nobody(wrong: str) -> None:
    tracing.send({"name": "x"}, {tracing.DAEMON_VARIABLE: wrong})


def test_the_command_says_where_to_look() -> None:
    command = [sys.executable, "-m", "faces.tracing"]
    environ = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([*command, JOB], capture_output=True, text=True, env=environ, check=True)
    assert tracing.trace_id(JOB) in done.stdout
    assert f'annotation.job_id = "{JOB}"' in done.stdout
    wrong = subprocess.run(
        [*command, "x"], capture_output=True, text=True, env=environ, check=False
    )
    assert wrong.returncode != 0
    assert "not a job id" in wrong.stderr


def test_worker_and_notify_report_under_the_jobs_trace(
    daemon: socket.socket, monkeypatch: Any
) -> None:
    monkeypatch.setenv(tracing.DAEMON_VARIABLE, address(daemon))
    moment = datetime(2026, 11, 21, 12, 0, 9, tzinfo=UTC)
    task = Task(Received("m", "r", "", 1), JobMessage(job_id=JOB, key=upload_key(JOB), size=1))
    task.result = JobResult(
        job_id=JOB,
        kind="detect",
        tenant="default",
        collection="default",
        state="succeeded",
        timings_ms={"fetch": 250.0, "detect": 500.0},
        worker_id="i-1",
        code_version="1",
        submitted_at=moment,
        finished_at=moment,
    )

    class Taken:
        def announce(self, done: Sequence[JobDone]) -> list[bool]:
            self.done = done
            return [True] * len(done)

    task.request = JobRequest(kind=JobKind.DETECT)
    taken = Taken()
    Announce(taken, FakeQueue(), lambda _: None)([task])
    worker = received(daemon)
    message = batch.Received("m", "r", taken.done[0].model_dump_json(), 1, {})
    notify.handle(message, FakeQueues(), StackNames("faces-x"))
    notified = received(daemon)
    assert worker["trace_id"] == notified["trace_id"] == tracing.trace_id(JOB)
    assert worker["parent_id"] == notified["parent_id"]
    assert worker["annotations"]["worker_id"] == "i-1"
    assert [each["name"] for each in worker["subsegments"]] == ["fetch", "detect"]
    assert worker["end_time"] == moment.timestamp()
    assert (worker["name"], notified["name"]) == ("ElasticFaces-worker", "ElasticFaces-notify")
