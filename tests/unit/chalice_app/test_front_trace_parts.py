"""Whatever happens to a job is found in its one trace."""

from typing import Any

import pytest

from chalice_app import dependencies
from chalice_app.callback_address import networks
from chalice_app.dead_letters import REASON_WORKER, DeadLetters, job_of_request
from chalice_app.intake import job_message
from chalice_app.webhooks import Webhooks
from faces import tracing
from faces.contracts.jobs import JobRequest
from faces.contracts.names import upload_key
from faces.contracts.webhooks import Delivery
from tests.unit.chalice_app.fakes import FakeContext, photo, received
from tests.unit.chalice_app.gateway import call


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(tracing, "send", found.append)
    return found


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    made = FakeContext()
    monkeypatch.setattr(dependencies, "context", lambda: made)
    return made


def test_each_job_of_a_batch_begins_its_own_trace(context: FakeContext, sent: list[Any]) -> None:
    answer = call("POST", "/v1/batches", {"photos": [{}, {}, {}]})
    jobs = [job["job_id"] for job in answer.json["jobs"]]
    assert [each["trace_id"] for each in sent] == [tracing.trace_id(job) for job in jobs]
    assert {each["name"] for each in sent} == {"ElasticFaces-request"}


def test_a_job_that_was_given_up_says_so_and_that_it_was_sent_again(
    context: FakeContext, sent: list[Any]
) -> None:
    job = context.upload(photo(), JobRequest())
    letters = DeadLetters(
        context.settings.names.req_dlq,
        REASON_WORKER,
        job_of_request,
        objects=context.objects,
        results=context.results,
        names=context.settings.names,
        clock=context.clock,
    )
    letters.handle(received(job_message(job, upload_key(job), 5)))
    assert call("POST", f"/v1/dead-letters/{job}/redrive").status == 202
    names = ["ElasticFaces-dead-letter", "ElasticFaces-redrive"]
    assert [(e["name"], e["trace_id"]) for e in sent] == [(n, tracing.trace_id(job)) for n in names]


def test_each_try_of_a_callback_is_told(context: FakeContext, sent: list[Any]) -> None:
    job = context.new_job()
    webhooks = Webhooks(
        queues=context.queues,
        names=context.settings.names,
        key=lambda _: "key",
        allowed=networks(""),
        clock=context.clock,
        send=lambda *_: 500,
        resolve=lambda _host, _port: ["8.8.8.8"],
    )
    told = Delivery(job_id=job, tenant="acme", url="https://example.com/x", body="{}", attempt=2)
    webhooks.handle(received(told.model_dump_json()))
    (one,) = sent
    assert (one["name"], one["trace_id"]) == ("ElasticFaces-webhook", tracing.trace_id(job))
    assert one["annotations"]["attempt"] == "2"
    assert "example.com" not in str(one), "where callbacks go is the client's affair"
