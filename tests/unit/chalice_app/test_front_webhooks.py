"""Callbacks: signed, sent again with growing delays, and at last set aside."""

import contextlib
import http.client
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalice_app import dependencies
from chalice_app import webhooks as sending
from chalice_app.callback_address import Target, networks
from chalice_app.webhooks import RETRY_SECONDS, Webhooks, delivery, send_to
from faces.client.webhooks import BadSignature, verify_webhook
from faces.contracts.errors import ErrorCode, TransientError
from faces.contracts.jobs import JobDone, JobKind, JobState
from faces.contracts.names import StackNames
from faces.contracts.webhooks import DELIVERY_HEADER, SIGNATURE_HEADER, Delivery, sign, verify
from tests.unit.chalice_app.fakes import NOW, STACK, FakeContext, make_settings, received
from tests.unit.chalice_app.gateway import call

NAMES = StackNames(STACK)
URL = "https://example.com/done?x=1"


class Receiver:
    """Takes callbacks and answers with a status, or not at all."""

    def __init__(self) -> None:
        self.answer: int | Exception = 200
        self.got: list[tuple[Target, bytes, dict[str, str]]] = []

    def __call__(self, target: Target, body: bytes, headers: Mapping[str, str]) -> int:
        self.got.append((target, body, dict(headers)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def context() -> FakeContext:
    return FakeContext()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def webhooks(context: FakeContext, receiver: Receiver) -> Webhooks:
    return Webhooks(
        queues=context.queues,
        names=NAMES,
        key=lambda tenant: f"key of {tenant}",
        allowed=networks(""),
        clock=context.clock,
        send=receiver,
        resolve=lambda _host, _port: ["8.8.8.8"],
    )


def done(**more: Any) -> JobDone:
    return JobDone(
        job_id="job-1",
        kind=JobKind.IDENTIFY,
        state=JobState.FAILED,
        tenant="acme",
        error_code=ErrorCode.NO_FACE,
        callback_url=URL,
        submitted_at=NOW,
        finished_at=NOW + timedelta(seconds=2),
        **more,
    )


def message(attempt: int = 1, url: str = URL) -> Any:
    made = delivery(done())
    assert made is not None
    return received(made.model_copy(update={"attempt": attempt, "url": url}).model_dump_json())


def test_a_callback_is_signed_and_tells_no_more_than_it_must(
    webhooks: Webhooks, receiver: Receiver, context: FakeContext
) -> None:
    webhooks.handle(message())
    ((target, body, headers),) = receiver.got
    assert (target.address, target.host, target.path) == ("8.8.8.8", "example.com", "/done?x=1")
    assert json.loads(body) == {
        "event": "job.ended",
        "job_id": "job-1",
        "kind": "identify",
        "state": "failed",
        "error_code": "no_face",
        "submitted_at": "2026-01-02T03:04:05Z",
        "finished_at": "2026-01-02T03:04:07Z",
        "path": "/v1/jobs/job-1",
    }
    assert headers[DELIVERY_HEADER] == "job-1;attempt=1"
    ended = verify_webhook(headers[SIGNATURE_HEADER], body, "key of acme", clock=NOW.timestamp)
    assert ended.job_id == "job-1"
    assert not context.queues.sent


@pytest.mark.parametrize("answer", [500, 429, 404, 301, 302, 307, TimeoutError(), OSError()])
def test_a_failure_is_sent_again_later(
    webhooks: Webhooks, receiver: Receiver, context: FakeContext, answer: int | Exception
) -> None:
    receiver.answer = answer
    webhooks.handle(message())
    (again,) = context.queues.on(NAMES.webhooks_queue)
    assert again["attempt"] == 2
    assert context.queues.delays == [RETRY_SECONDS[0]]


def test_delays_grow_and_end_in_the_dead_letter_queue(
    webhooks: Webhooks, receiver: Receiver, context: FakeContext
) -> None:
    receiver.answer = 503
    next_one = message()
    for _ in RETRY_SECONDS:
        webhooks.handle(next_one)
        next_one = received(context.queues.sent[-1][1])
    assert context.queues.delays == list(RETRY_SECONDS)
    assert list(RETRY_SECONDS) == sorted(RETRY_SECONDS)
    assert max(RETRY_SECONDS) <= 900, "SQS delays no longer"
    webhooks.handle(next_one)
    (given_up,) = context.queues.on(NAMES.webhooks_dlq)
    assert given_up["attempt"] == len(RETRY_SECONDS) + 1 == len(receiver.got)


def test_the_log_says_whose_server_failed_and_no_more_of_the_address(
    webhooks: Webhooks, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = 500
    webhooks.handle(message())
    receiver.answer = 410
    webhooks.handle(message())
    told = {each.getMessage(): vars(each).get("host") for each in caplog.records}
    assert told == {"callback failed": "example.com", "callback given up": "example.com"}
    assert not any("x=1" in str(vars(each)) for each in caplog.records)


def test_each_attempt_is_signed_anew(
    webhooks: Webhooks, receiver: Receiver, context: FakeContext
) -> None:
    webhooks.handle(message())
    context.clock.move(3600)
    webhooks.handle(message(attempt=2))
    _, body, headers = receiver.got[1]
    late = context.clock().timestamp()
    assert verify_webhook(headers[SIGNATURE_HEADER], body, "key of acme", clock=lambda: late)


def test_a_forbidden_address_gets_nothing(
    webhooks: Webhooks, receiver: Receiver, context: FakeContext
) -> None:
    inside = Webhooks(**{**vars(webhooks), "resolve": lambda _host, _port: ["169.254.169.254"]})
    inside.handle(message())
    assert not receiver.got
    assert context.queues.on(NAMES.webhooks_dlq)
    assert not context.queues.on(NAMES.webhooks_queue)


def test_a_name_that_leads_elsewhere_at_the_next_attempt_gets_nothing_more(
    webhooks: Webhooks, receiver: Receiver, context: FakeContext
) -> None:
    """DNS rebinding: public when it is looked at first, inside a moment later."""
    answers = [["8.8.8.8"], ["169.254.169.254"]]
    rebinding = Webhooks(**{**vars(webhooks), "resolve": lambda _host, _port: answers.pop(0)})
    receiver.answer = 503
    rebinding.handle(message())
    rebinding.handle(received(context.queues.sent[-1][1]))
    assert [target.address for target, *_ in receiver.got] == ["8.8.8.8"]
    assert len(context.queues.on(NAMES.webhooks_dlq)) == 1
    assert answers == [], "asked once each attempt, not again by who sends"


def test_a_receiver_that_is_gone_is_not_asked_again(
    webhooks: Webhooks, receiver: Receiver, context: FakeContext
) -> None:
    receiver.answer = 410
    webhooks.handle(message())
    assert context.queues.on(NAMES.webhooks_dlq)
    assert not context.queues.on(NAMES.webhooks_queue)


def test_a_queue_that_is_away_has_the_message_come_again(
    webhooks: Webhooks, receiver: Receiver, context: FakeContext
) -> None:
    receiver.answer, context.queues.away = 500, True
    with pytest.raises(TransientError):
        webhooks.handle(message())


def test_nobody_asked_nobody_is_called() -> None:
    assert delivery(done().model_copy(update={"callback_url": None})) is None


BODY = b'{"event": "job.ended"}'
SIGNED = sign("key", BODY, 1000)


@pytest.mark.parametrize(
    ("header", "body", "key", "now"),
    [
        (SIGNED, BODY, "another key", 1000),
        (SIGNED, BODY + b" ", "key", 1000),
        (SIGNED.replace("t=1000", "t=1001"), BODY, "key", 1000),
        (SIGNED, BODY, "key", 1301),
        (SIGNED, BODY, "key", 699),
        ("", BODY, "key", 1000),
        ("t=x,k=y,v1=z", BODY, "key", 1000),
    ],
)
def test_what_is_not_ours_is_told(header: str, body: bytes, key: str, now: float) -> None:
    assert verify(SIGNED, BODY, "key", now=1000) == {"event": "job.ended"}
    with pytest.raises(BadSignature):
        verify(header, body, key, now=now)


def test_the_key_of_a_tenant_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    context = FakeContext()
    monkeypatch.setattr(dependencies, "context", lambda: context)
    first = call("GET", "/v1/webhook-key").json
    assert len(first["key"]) == 64
    context.settings = make_settings(FACES_WEBHOOK_SECRET="another secret, of 32 letters or more")
    second = call("GET", "/v1/webhook-key").json
    assert first["key"] != second["key"]
    assert first["key_id"] != second["key_id"]


Serve = Callable[[int, dict[str, str]], tuple[Target, list[tuple[str, bytes, Any]]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers on this computer that answer every POST alike, and note what they get."""
    servers = []

    def start(status: int, headers: dict[str, str]) -> tuple[Target, list[Any]]:
        got: list[Any] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                got.append((self.path, self.rfile.read(length), dict(self.headers)))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        return Target("http", "receiver.test", port, "127.0.0.1", "/done?x=1"), got

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_request_goes_to_the_checked_address_under_its_own_name(serve: Serve) -> None:
    target, got = serve(204, {})
    assert send_to(target, b"body", {"X-Test": "1"}) == 204
    ((path, body, headers),) = got
    assert (path, body, headers["X-Test"]) == ("/done?x=1", b"body", "1")
    assert headers["Host"] == f"receiver.test:{target.port}"


def test_sending_asks_no_resolver_for_the_name(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the name means by now, the connection goes to the address that was checked."""
    target, got = serve(200, {})
    asked: list[Any] = []
    resolve = socket.getaddrinfo

    def watched(host: Any, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    assert send_to(target, b"body", {}) == 200
    assert set(asked) <= {"127.0.0.1"}
    assert len(got) == 1


def test_a_certificate_must_be_the_hosts(serve: Serve) -> None:
    target, got = serve(200, {})
    with pytest.raises(ssl.SSLError):
        send_to(replace(target, scheme="https"), b"body", {})
    assert not got


def test_an_answer_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_WHOLE_SECONDS", 0.2)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not ended.wait(0.02):
                    connection.sendall(b"X: y\r\n")

        dripping = threading.Thread(target=drip)
        dripping.start()
        port = listening.getsockname()[1]
        with pytest.raises((OSError, http.client.HTTPException)):
            send_to(Target("http", "x.test", port, "127.0.0.1", "/"), b"", {})
        ended.set()
        dripping.join()


def test_no_redirect_is_followed(serve: Serve) -> None:
    inner, reached = serve(200, {})
    target, _ = serve(307, {"Location": f"http://127.0.0.1:{inner.port}/"})
    assert send_to(target, b"body", {}) == 307
    assert not reached


def test_nobody_there_is_an_error() -> None:
    with pytest.raises(OSError):
        send_to(Target("http", "x.test", 1, "127.0.0.1", "/"), b"", {})


def test_a_message_is_read_back_as_it_was() -> None:
    made = delivery(done())
    assert made is not None
    assert Delivery.model_validate_json(made.model_dump_json()) == made
