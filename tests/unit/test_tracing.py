"""A job's trace follows from its id; every part reports under it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from faces import tracing
from faces.contracts.ids import new_job_id

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
