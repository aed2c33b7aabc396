"""Traces: sent where the X-Ray daemon is, not even tried elsewhere, and without answers."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from faces.tracing import trace_id

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
from chalice_app import dependencies, events
from tests.unit.chalice_app import fakes
from tests.unit.chalice_app.gateway import call
from tests.unit.chalice_app.test_front_events import invoke, told
made = fakes.FakeContext(settings=fakes.make_settings(FACES_STACK="faces-local"))
dependencies.context = events.context = lambda: made
answer = call("POST", "/v1/jobs", {"file_name": "a-private-name.jpg"})
assert answer.status == 201, answer
invoke(events.intake, fakes.sqs_record(told("uploads/" + made.upload(fakes.photo()))))
assert len(made.queues.sent) == 1
"""
TRACE_ID = "1-5759e988-bd862e3fe1be46a994272793"
# What real Lambda sets beside the daemon's address, and an emulator too.
LAMBDA = {
    "FACES_STACK": "faces-local",
    "LAMBDA_TASK_ROOT": "/var/task",
    "AWS_LAMBDA_FUNCTION_NAME": "f",
    "_X_AMZN_TRACE_ID": f"Root={TRACE_ID};Parent=53995c3f42cd8ad8;Sampled=1",
}


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **LAMBDA, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_segments_reach_the_daemon_and_hold_no_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        run(AWS_XRAY_DAEMON_ADDRESS=f"127.0.0.1:{daemon.getsockname()[1]}")
        daemon.setblocking(False)
        segments: list[Any] = []
        while True:
            try:
                packet = daemon.recv(65_535)
            except BlockingIOError:
                break
            segments.append(json.loads(packet.split(b"\n", 1)[1]))
    traced = [one for one in segments if one["name"].startswith("## ")]
    assert len(traced) == 2, segments
    ours = [one for one in segments if one["name"].startswith("ElasticFaces-")]
    assert {one["name"] for one in ours} == {"ElasticFaces-request", "ElasticFaces-intake"}
    for one in ours:
        assert one["trace_id"] == trace_id(one["annotations"]["job_id"])
        assert one["annotations"]["lambda_trace"] == TRACE_ID
    assert all(one["trace_id"] == TRACE_ID for one in segments if one not in ours)
    assert "a-private-name" not in json.dumps(segments)


def test_without_a_daemon_nothing_is_tried() -> None:
    done = run()
    assert done.stderr == ""
    assert all(
        json.loads(line)["level"] == "INFO"
        for line in done.stdout.splitlines()
        if "_aws" not in line
    )
