"""Who only waited in the hands of dying workers is put back; who had its turns is given up."""

import json

import pytest

from chalice_app.attempts import Attempts
from chalice_app.dead_letters import REASON_WORKER, DeadLetters, job_of_request
from chalice_app.intake import job_message
from chalice_app.rounds import ENOUGH_ATTEMPTS, MOST_ROUNDS, Rounds, deserves_another_round
from faces.contracts.errors import ErrorCode, PhotoError, TransientError
from faces.contracts.jobs import JobMessage, JobRequest
from faces.contracts.names import (
    REQ_MESSAGE_MAX_BYTES,
    attempt_key,
    attempts_prefix,
    dead_letter_key,
    result_key,
    upload_key,
)
from tests.unit.chalice_app.fakes import STACK, FakeContext, photo, received

IN, OUT, REQ = f"{STACK}-in-bucket", f"{STACK}-out-bucket", f"{STACK}-req-queue"


@pytest.fixture
def context() -> FakeContext:
    return FakeContext()


def letters(context: FakeContext) -> DeadLetters:
    names = context.settings.names
    return DeadLetters(
        names.req_dlq, REASON_WORKER, job_of_request, objects=context.objects,
        results=context.results, names=names, clock=context.clock,
        rounds=Rounds(context.objects, context.queues, context.results, names),
    )  # fmt: skip


def begun(context: FakeContext, job_id: str, times: int) -> None:
    for number in range(times):
        context.objects.add(OUT, attempt_key(job_id, f"m-{number}"), b"", {})


def body(job_id: str, rounds: int = 0) -> str:
    return job_message(job_id, upload_key(job_id), 5, rounds=rounds)


def attempts(context: FakeContext, job_id: str) -> int:
    return Attempts(context.objects, context.settings.names).count(job_id)


def test_the_decision() -> None:
    assert (ENOUGH_ATTEMPTS, MOST_ROUNDS) == (3, 3)
    tried_again = {
        (attempts, rounds)
        for attempts in range(6)
        for rounds in range(6)
        if deserves_another_round(attempts, rounds)
    }
    assert tried_again == {(attempts, rounds) for attempts in range(3) for rounds in range(3)}


@pytest.mark.parametrize("times", range(ENOUGH_ATTEMPTS))
def test_a_photo_that_only_waited_is_put_back(context: FakeContext, times: int) -> None:
    job_id = context.upload(photo())
    begun(context, job_id, times)
    letters(context).handle(received(body(job_id), receive_count=5))
    [message] = context.queues.on(REQ)
    assert JobMessage.model_validate(message) == JobMessage(
        job_id=job_id, key=upload_key(job_id), size=5, rounds=1
    )
    assert not {result_key(job_id), dead_letter_key(job_id)} & set(context.objects.keys(OUT))
    # What is on record counts on.
    assert attempts(context, job_id) == times


def test_a_photo_that_had_its_turns_is_given_up(context: FakeContext) -> None:
    job_id, other = context.upload(photo()), context.upload(photo())
    begun(context, job_id, ENOUGH_ATTEMPTS)
    begun(context, other, 1)
    letters(context).handle(received(body(job_id), receive_count=5))
    assert context.queues.on(REQ) == []
    assert context.objects.json(OUT, result_key(job_id))["error"]["code"] == "worker_gave_up"
    assert context.objects.json(OUT, dead_letter_key(job_id))["job_id"] == job_id
    # A redrive begins anew; what is recorded of others stays.
    assert attempts(context, job_id) == 0
    assert attempts(context, other) == 1


def test_nobody_is_put_back_for_ever(context: FakeContext) -> None:
    job_id = context.upload(photo())
    letters(context).handle(received(body(job_id)))
    for _ in range(MOST_ROUNDS):
        assert context.objects.keys(OUT) == []
        letters(context).handle(received(json.dumps(context.queues.on(REQ)[-1])))
    assert [message["rounds"] for message in context.queues.on(REQ)] == [1, 2, 3]
    assert context.objects.json(OUT, result_key(job_id))["error"]["code"] == "worker_gave_up"
    assert dead_letter_key(job_id) in context.objects.keys(OUT)


def test_for_whom_a_worker_can_do_nothing_is_not_put_back(context: FakeContext) -> None:
    answered, gone, odd = context.upload(b""), context.new_job(), context.upload(photo())
    context.results.fail(answered, JobRequest(), PhotoError(ErrorCode.UPLOAD_EMPTY))
    for message in (body(answered), body(gone), job_message(odd, "uploads/another", 5)):
        letters(context).handle(received(message))
    assert context.queues.on(REQ) == []
    ends = [
        context.objects.json(OUT, result_key(job_id))["error"]["code"]
        for job_id in (answered, gone, odd)
    ]
    assert ends == ["upload_empty", "worker_gave_up", "worker_gave_up"]


def test_what_fails_half_way_is_done_again(context: FakeContext) -> None:
    """The dead letter stays on its queue until the message was sent."""
    job_id = context.upload(photo())
    message = received(body(job_id))
    context.queues.away = True
    with pytest.raises(TransientError):
        letters(context).handle(message)
    assert context.objects.keys(OUT) == []
    context.queues.away = False
    letters(context).handle(message)
    assert len(context.queues.on(REQ)) == 1


def test_a_long_trace_is_left_out_where_a_round_makes_the_message_too_long(
    context: FakeContext,
) -> None:
    job_id = context.upload(photo())
    job = JobMessage.model_validate_json(body(job_id))
    room = REQ_MESSAGE_MAX_BYTES - len(job.model_dump_json(exclude_none=True))
    long = job.model_copy(update={"trace_id": "x" * (room - len(',"trace_id":""'))})
    dead = long.model_dump_json(exclude_none=True)
    assert len(dead) == REQ_MESSAGE_MAX_BYTES
    letters(context).handle(received(dead))
    [(_, sent)] = context.queues.sent
    assert len(sent) <= REQ_MESSAGE_MAX_BYTES
    assert JobMessage.model_validate_json(sent).rounds == 1


def test_attempts_of_a_job_are_below_a_name_that_no_other_begins_with() -> None:
    assert attempt_key("a", "m-1") == "attempts/a/m-1"
    assert not attempt_key("ab", "m-1").startswith(attempts_prefix("a"))
