"""The functions behind the queues, called as Lambda calls them."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalice_app import events, notify
from chalice_app.batch import BatchFailed
from chalice_app.rounds import MOST_ROUNDS
from faces.contracts.dead_letters import DeadLetter
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import JobDone, JobKind, JobState
from faces.contracts.names import StackNames, dead_letter_key, result_key, upload_key
from tests.unit.chalice_app.fakes import (
    NOW,
    FakeContext,
    make_settings,
    notification,
    photo,
    received,
    sqs_record,
)

ROOT = Path(__file__).resolve().parents[3]
# The queues' names are fixed when the module is imported.
NAMES: StackNames = events._names


@dataclass(frozen=True)
class LambdaContext:
    aws_request_id: str = "invocation-1"
    function_name: str = "f"


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    made = FakeContext(settings=make_settings(FACES_STACK=NAMES.stack))
    monkeypatch.setattr(events, "context", lambda: made)
    return made


def invoke(handler: Any, *records: dict[str, Any]) -> None:
    handler({"Records": list(records)}, LambdaContext())


def told(*keys: str) -> str:
    return notification(*keys, bucket=NAMES.in_bucket)


def emf(captured: str) -> dict[tuple[str, ...], Any]:
    """Return what was sent as metrics: (name, dimension values...) to value."""
    found = {}
    for line in captured.splitlines():
        if '"_aws"' not in line:
            continue
        document = json.loads(line)
        (definition,) = document["_aws"]["CloudWatchMetrics"]
        assert definition["Namespace"] == "ElasticFaces"
        (dimensions,) = definition["Dimensions"]
        assert dimensions[0] == "Stack"
        values = tuple(document[name] for name in dimensions[1:])
        for metric in definition["Metrics"]:
            found[metric["Name"], *values] = document[metric["Name"]]
    return found


def test_intake_keeps_what_failed_and_deletes_the_rest(context: FakeContext) -> None:
    good, bad = context.upload(photo()), context.upload(b"no photo")
    records = [
        sqs_record(told(upload_key(good)), number=1),
        sqs_record("no notification", number=2),
        sqs_record(told(upload_key(bad)), number=3),
    ]
    with pytest.raises(BatchFailed):
        invoke(events.intake, *records)
    assert [sent["job_id"] for sent in context.queues.on(NAMES.req_queue)] == [good]
    assert result_key(bad) in context.objects.keys(NAMES.out_bucket)
    assert context.queues.deleted == [
        (NAMES.uploads_queue, "handle-1"),
        (NAMES.uploads_queue, "handle-3"),
    ]


def test_intake_counts(context: FakeContext, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = context.upload(photo()), context.upload(b"no photo")
    invoke(events.intake, sqs_record(told(upload_key(good), upload_key(bad))))
    assert emf(capsys.readouterr().out) == {("UploadsQueued",): [1.0], ("UploadsRefused",): [1.0]}


def test_notify_counts_ends_and_seconds(
    context: FakeContext, capsys: pytest.CaptureFixture[str]
) -> None:
    done = JobDone(
        job_id=context.new_job(),
        kind=JobKind.IDENTIFY,
        state=JobState.FAILED,
        tenant="default",
        error_code=ErrorCode.NO_FACE,
        submitted_at=NOW,
        finished_at=NOW + timedelta(seconds=2.5),
    )
    invoke(events.notify, sqs_record(done.model_dump_json()))
    assert emf(capsys.readouterr().out) == {
        ("JobsFinished", "identify", "failed"): [1.0],
        ("Failures", "no_face"): [1.0],
        ("EndToEndSeconds",): [2.5],
    }


def test_notify_leaves_what_it_cannot_read_to_the_dead_letter_queue(context: FakeContext) -> None:
    with pytest.raises(BatchFailed):
        invoke(events.notify, sqs_record("{}"))
    with pytest.raises(ValueError):
        notify.handle(received("no json"), context.queues, NAMES)


def test_notify_has_the_callback_sent_that_was_asked_for(context: FakeContext) -> None:
    done = JobDone(
        job_id=context.new_job(),
        kind=JobKind.IDENTIFY,
        state=JobState.SUCCEEDED,
        tenant="acme",
        callback_url="https://example.com/done",
        submitted_at=NOW,
        finished_at=NOW,
    )
    invoke(
        events.notify,
        sqs_record(done.model_dump_json()),
        sqs_record(done.model_copy(update={"callback_url": None}).model_dump_json()),
    )
    (sent,) = context.queues.on(NAMES.webhooks_queue)
    assert (sent["url"], sent["tenant"]) == ("https://example.com/done", "acme")
    assert json.loads(sent["body"])["job_id"] == done.job_id


def test_dead_letters_of_both_queues(context: FakeContext) -> None:
    request, upload = context.upload(photo()), context.upload(photo())
    body = json.dumps({"version": 1, "job_id": request, "key": upload_key(request), "size": 1})
    # It only waited, so it is put back; in the end it is given up all the same.
    for rounds in range(1, MOST_ROUNDS + 1):
        invoke(events.dead_requests, sqs_record(body))
        assert context.objects.keys(NAMES.out_bucket) == []
        assert context.queues.on(NAMES.req_queue)[-1]["rounds"] == rounds
        body = context.queues.sent[-1][1]
    invoke(events.dead_requests, sqs_record(body))
    invoke(events.dead_uploads, sqs_record(told(upload_key(upload))))
    letters = {
        job_id: DeadLetter.model_validate(
            context.objects.json(NAMES.out_bucket, dead_letter_key(job_id))
        ).queue
        for job_id in (request, upload)
    }
    assert letters == {request: NAMES.req_dlq, upload: NAMES.uploads_dlq}


def test_log_lines_carry_invocation_message_and_job() -> None:
    program = f"""
from tests.unit.chalice_app import fakes
from chalice_app import events
from tests.unit.chalice_app.test_front_events import invoke, told
made = fakes.FakeContext(settings=fakes.make_settings(FACES_STACK={NAMES.stack!r}))
events.context = lambda: made
body = told("uploads/" + made.upload(fakes.photo()))
invoke(events.intake, fakes.sqs_record(body, number=7))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "FACES_STACK": NAMES.stack, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (queued,) = [line for line in lines if line.get("message") == "upload queued"]
    assert (queued["request_id"], queued["message_id"]) == ("invocation-1", "message-7")
    assert len(queued["job_id"]) == 36


def test_the_app_is_imported_without_settings_or_clients() -> None:
    """As on the machine that runs `chalice package`."""
    program = """
import json, sys
import boto3
def refuse(*_args, **_options):
    raise AssertionError("a client was made")
boto3.client = refuse
from app import app
print(json.dumps({
    "queues": {e.name: [e.queue, e.handler_string] for e in app.event_sources
               if hasattr(e, "queue")},
    "schedules": {e.name: e.schedule_expression.to_string() for e in app.event_sources
                  if hasattr(e, "schedule_expression")},
    "heavy": sorted({"psycopg", "numpy", "torch"} & set(sys.modules)),
}))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PATH": os.environ["PATH"], "FACES_STACK": "some-stack", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "queues": {
            "intake": ["some-stack-uploads-queue", "chalice_app.events.intake"],
            "notify": ["some-stack-resp-queue", "chalice_app.events.notify"],
            "webhook": ["some-stack-webhooks-queue", "chalice_app.events.webhook"],
            "dead_requests": ["some-stack-req-dlq", "chalice_app.events.dead_requests"],
            "dead_uploads": ["some-stack-uploads-dlq", "chalice_app.events.dead_uploads"],
        },
        "schedules": {"scale": "rate(1 minute)", "sweep": "rate(5 minutes)"},
        "heavy": [],
    }
