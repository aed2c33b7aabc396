"""Dead letters are listed to who may see them, and redriven as often as asked."""

import json

import pytest

from chalice_app import dependencies
from chalice_app.dead_letters import REASON_WORKER, DeadLetters, job_of_request
from chalice_app.intake import job_message
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import JobRequest
from faces.contracts.keys import Scope
from faces.contracts.names import attempt_key, dead_letter_key, result_key, upload_key
from tests.unit.chalice_app.fakes import KEY, STACK, FakeContext, FakeKeys, photo, received
from tests.unit.chalice_app.gateway import call

IN, OUT, REQ = f"{STACK}-in-bucket", f"{STACK}-out-bucket", f"{STACK}-req-queue"


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    keys = FakeKeys({"theirs": ("them", "k1", frozenset({Scope.ADMIN}))})
    made = FakeContext(keys=keys)
    monkeypatch.setattr(dependencies, "context", lambda: made)
    return made


def give_up(context: FakeContext, tenant: str = "default") -> str:
    """Let a job end as a dead letter; return its id."""
    job_id = context.upload(photo(), JobRequest(tenant=tenant))
    dead(context, job_message(job_id, upload_key(job_id), 5))
    context.clock.move(1)
    return job_id


def dead(context: FakeContext, body: str) -> None:
    DeadLetters(
        f"{STACK}-req-dlq", REASON_WORKER, job_of_request, objects=context.objects,
        results=context.results, names=context.settings.names, clock=context.clock,
    ).handle(received(body, receive_count=3))  # fmt: skip


def redrive(job_id: str, key: str = KEY) -> tuple[int, dict[str, object]]:
    answer = call("POST", f"/v1/dead-letters/{job_id}/redrive", key=key)
    return answer.status, answer.json


def test_letters_are_listed_page_by_page(context: FakeContext) -> None:
    jobs = [give_up(context) for _ in range(5)]
    give_up(context, "them")
    seen, cursor = [], ""
    while True:
        page = call("GET", f"/v1/dead-letters?limit=2{cursor}").json
        seen += [letter["job_id"] for letter in page["letters"]]
        if page.get("next_cursor") is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == jobs


def test_nobody_sees_or_redrives_the_letters_of_another_tenant(context: FakeContext) -> None:
    ours, theirs = give_up(context), give_up(context, "them")
    dead(context, "what no job is named in")
    letters = call("GET", "/v1/dead-letters", key="theirs").json["letters"]
    assert [letter["job_id"] for letter in letters] == [theirs]
    assert redrive(ours, "theirs")[0] == 404
    # The stack's own key also sees what is nobody's.
    letters = call("GET", "/v1/dead-letters").json["letters"]
    assert [letter.get("job_id") for letter in letters] == [ours, None]
    assert redrive(theirs)[0] == 404
    assert context.queues.on(REQ) == []


def test_a_redriven_job_is_open_again_and_can_be_answered(context: FakeContext) -> None:
    job_id = give_up(context)
    assert call("GET", f"/v1/jobs/{job_id}").json["state"] == "failed"
    status, letter = redrive(job_id)
    assert status == 202
    assert letter["redriven_at"] == context.clock().isoformat().replace("+00:00", "Z")
    [message] = context.queues.on(REQ)
    assert (message["job_id"], message["key"]) == (job_id, upload_key(job_id))
    assert message["size"] == len(photo())
    assert call("GET", f"/v1/jobs/{job_id}").json["state"] == "queued"
    assert context.objects.json(OUT, dead_letter_key(job_id))["redriven_at"] is not None
    # And once more, when it dies again.
    dead(context, json.dumps(message))
    assert call("GET", f"/v1/jobs/{job_id}").json["state"] == "failed"
    assert context.objects.json(OUT, dead_letter_key(job_id))["redriven_at"] is None
    assert redrive(job_id)[0] == 202


def test_a_redriven_job_begins_anew_and_alone(context: FakeContext) -> None:
    job_id = give_up(context)
    # What a worker recorded that did not know yet.
    context.objects.add(OUT, attempt_key(job_id, "m-5"), b"", {})
    assert redrive(job_id)[0] == 202
    assert attempt_key(job_id, "m-5") not in context.objects.keys(OUT)
    [message] = context.queues.on(REQ)
    assert message["rounds"] == 1


def test_a_redrive_that_fails_half_way_is_mended_by_asking_again(context: FakeContext) -> None:
    job_id = give_up(context)
    context.queues.away = True
    assert redrive(job_id)[0] == 503
    context.queues.away = False
    assert redrive(job_id)[0] == 202
    assert len(context.queues.on(REQ)) == 1


def test_only_what_was_given_up_is_redriven(context: FakeContext) -> None:
    answered, gone, never = give_up(context), give_up(context), context.new_job()
    stored = context.objects.json(OUT, result_key(answered))
    stored |= {"state": "succeeded", "error": None, "faces": []}
    context.objects.add(OUT, result_key(answered), json.dumps(stored).encode(), {})
    context.objects.delete(IN, upload_key(gone))
    for job_id, code in (
        (answered, ErrorCode.JOB_ANSWERED),
        (gone, ErrorCode.UNKNOWN_JOB),
        (never, ErrorCode.UNKNOWN_JOB),
        ("..%2Fresults%2Fx", ErrorCode.UNKNOWN_JOB),
    ):
        assert redrive(job_id)[1]["code"] == code
    assert context.queues.on(REQ) == []
    assert context.objects.json(OUT, result_key(answered))["state"] == "succeeded"


def test_a_deleted_job_stays_deleted(context: FakeContext) -> None:
    job_id = give_up(context)
    context.results.delete(job_id, JobRequest())
    context.objects.add(IN, upload_key(job_id), photo(), {})
    assert redrive(job_id)[1]["code"] == ErrorCode.JOB_DELETED
