"""The blocking client against a service in memory."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from faces.client import (
    ApiError,
    Client,
    ConnectionFailed,
    JobFailed,
    JobTimeout,
    PhotoNotReadable,
    RetryPolicy,
    UnexpectedAnswer,
    UploadRefused,
)
from faces.client.photos import Photo
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.jobs import ContentType, JobKind, JobParams, JobState
from tests.unit.client.fake_service import API, FakeService, problem

JPEG = b"\xff\xd8\xff\xe0 photo"


class Time:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def client(service: FakeService, time: Time) -> Client:
    return Client(
        API,
        "secret",
        transport=service.transport,
        sleep=time.sleep,
        clock=time.clock,
        jitter=lambda: 0.5,
    )


def test_identify_submits_uploads_and_polls(client: Client, service: FakeService) -> None:
    result = client.identify(JPEG, collection="team", false_accept_rate=0.05)

    assert result.job_id == service.job_id
    submitted, uploaded, *polls = service.requests
    assert json.loads(submitted.content) == {
        "kind": "identify",
        "collection": "team",
        "content_type": "image/jpeg",
        "params": {"false_accept_rate": 0.05},
    }
    assert uploaded.url.host == "s3.test"
    assert len(polls) == 2


def test_the_key_goes_to_the_service_only(client: Client, service: FakeService) -> None:
    client.identify(JPEG)

    for request in service.requests:
        sent = request.headers.get("X-Api-Key")
        assert sent == ("secret" if request.url.host == "faces.test" else None)


def test_the_file_is_the_last_part_of_the_upload(client: Client, service: FakeService) -> None:
    client.send(Photo(JPEG, ContentType.JPEG, "Zoë.jpg"))

    body = service.requests[1].content
    assert body.index(b'name="policy"') < body.index(b'name="file"')
    assert JPEG in body
    assert json.loads(service.requests[0].content)["file_name"] == "Zoë.jpg"


def test_a_path_gives_name_and_type(client: Client, service: FakeService, tmp_path: Path) -> None:
    file = tmp_path / "me.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n rest")

    client.identify(file)

    body = json.loads(service.requests[0].content)
    assert (body["file_name"], body["content_type"]) == ("me.png", "image/png")


def test_a_missing_file_is_said_before_anything_is_sent(
    client: Client, service: FakeService, tmp_path: Path
) -> None:
    with pytest.raises(PhotoNotReadable, match=r"gone\.jpg"):
        client.identify(tmp_path / "gone.jpg")
    assert service.requests == []


def test_a_failed_job_raises_with_its_code(client: Client, service: FakeService) -> None:
    failed = service.view(JobState.FAILED)
    error = FacesError(ErrorCode.NOT_AN_IMAGE).info()
    service.views = [failed.model_copy(update={"error": error})]

    with pytest.raises(JobFailed) as caught:
        client.identify(JPEG)
    assert caught.value.code is ErrorCode.NOT_AN_IMAGE
    assert service.job_id in str(caught.value)


def test_an_expired_job_raises_job_expired(client: Client, service: FakeService) -> None:
    service.views = [service.view(JobState.EXPIRED)]
    with pytest.raises(JobFailed) as caught:
        client.identify(JPEG)
    assert caught.value.code is ErrorCode.JOB_EXPIRED


def test_waiting_ends_after_the_time_given(
    client: Client, service: FakeService, time: Time
) -> None:
    service.views = [service.view(JobState.QUEUED)]
    with pytest.raises(JobTimeout) as caught:
        client.wait(service.job_id, timeout=3)
    assert caught.value.view.state is JobState.QUEUED
    assert time.now == pytest.approx(3)


def test_polls_are_asked_less_and_less_often(
    client: Client, service: FakeService, time: Time
) -> None:
    service.views = [service.view(JobState.QUEUED)] * 40 + [service.view(JobState.SUCCEEDED)]
    client.wait(service.job_id)
    assert time.sleeps == sorted(time.sleeps)
    assert (time.sleeps[0], time.sleeps[-1]) == (0.1, 2.0)


@pytest.mark.parametrize(
    "fault",
    [
        problem(ErrorCode.UNAVAILABLE),
        problem(ErrorCode.TOO_MANY_REQUESTS),
        httpx.Response(502, text="bad gateway"),
        httpx.Response(504, text="timeout"),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
    ],
    ids=["503", "429", "502", "504", "refused", "reset"],
)
def test_a_passing_fault_is_tried_again(
    client: Client, service: FakeService, fault: httpx.Response | httpx.TransportError
) -> None:
    service.faults = [fault]
    assert client.identify(JPEG).state == "succeeded"
    assert len(service.requests) == 5


def test_retry_after_is_the_least_that_is_waited(
    client: Client, service: FakeService, time: Time
) -> None:
    service.faults = [problem(ErrorCode.TOO_MANY_REQUESTS, **{"Retry-After": "7"})]
    client.job(service.job_id)
    assert time.sleeps == [pytest.approx(7 + 0.5 * 0.2)]


def test_a_lasting_fault_ends_with_the_problem(client: Client, service: FakeService) -> None:
    service.faults = [problem(ErrorCode.UNAVAILABLE) for _ in range(9)]
    with pytest.raises(ApiError) as caught:
        client.health()
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert caught.value.retryable
    assert len(service.requests) == RetryPolicy().tries


def test_a_service_that_is_down_is_said_with_its_address(
    client: Client, service: FakeService
) -> None:
    service.faults = [httpx.ConnectError("refused") for _ in range(9)]
    with pytest.raises(ConnectionFailed, match=r"http://faces\.test/health"):
        client.health()


def test_a_wrong_request_is_not_tried_again(client: Client, service: FakeService) -> None:
    service.faults = [problem(ErrorCode.UNAUTHENTICATED)]
    with pytest.raises(ApiError) as caught:
        client.job(service.job_id)
    assert (caught.value.status, caught.value.problem.request_id) == (401, "req-1")
    assert len(service.requests) == 1


def test_an_enrolment_that_may_have_happened_is_not_sent_twice(
    client: Client, service: FakeService
) -> None:
    service.faults = [httpx.ReadError("reset")]
    with pytest.raises(ConnectionFailed):
        client.enroll_req_id("r", "Ann")
    assert len(service.requests) == 1


def test_an_enrolment_that_never_arrived_is_sent_again(
    client: Client, service: FakeService
) -> None:
    service.faults = [httpx.ConnectError("refused"), problem(ErrorCode.UNAVAILABLE)]
    assert client.enroll_req_id("r", "Ann").name == "Ann"
    assert len(service.requests) == 3


def test_s3s_reason_is_handed_on(client: Client, service: FakeService) -> None:
    service.s3_answer = httpx.Response(
        400,
        text="<Error><Code>EntityTooLarge</Code><Message>Your upload exceeds &lt;max&gt;</Message>"
        "</Error>",
    )
    with pytest.raises(UploadRefused) as caught:
        client.send(JPEG)
    assert (caught.value.code, caught.value.reason) == (
        "EntityTooLarge",
        "Your upload exceeds <max>",
    )


@pytest.mark.parametrize("text", ["<html>hello</html>", "[]", "{}"])
def test_another_service_at_the_address_is_noticed(
    client: Client, service: FakeService, text: str
) -> None:
    service.faults = [httpx.Response(200, text=text)]
    with pytest.raises(UnexpectedAnswer):
        client.job(service.job_id)


def test_a_busy_s3_is_tried_again(client: Client, service: FakeService) -> None:
    created = client.submit(JPEG)
    service.faults = [httpx.Response(503, text="<Error><Code>SlowDown</Code></Error>")]
    client.upload(created, JPEG)
    assert [request.url.host for request in service.requests[1:]] == ["s3.test", "s3.test"]


def test_a_proxy_of_the_environment_is_not_asked_for_this_computer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok"}')

        def log_message(self, *_: object) -> None:
            pass

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with Client(f"http://127.0.0.1:{server.server_port}", "key") as client:
                assert client.health() == {"status": "ok"}
        finally:
            server.shutdown()


def test_run_hands_on_kind_and_options(client: Client, service: FakeService) -> None:
    client.run(JPEG, JobKind.ENROLL, "team", JobParams(person_name="Ann"))
    body = json.loads(service.requests[0].content)
    assert (body["kind"], body["params"]) == ("enroll", {"person_name": "Ann"})


def test_address_and_key_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, service: FakeService
) -> None:
    monkeypatch.setenv("FACES_URL", API + "/")
    monkeypatch.setenv("FACES_API_KEY", "from-env")
    with Client(transport=service.transport) as client:
        client.job(service.job_id)
    assert str(service.requests[0].url) == f"{API}/v1/jobs/{service.job_id}"
    assert service.requests[0].headers["X-Api-Key"] == "from-env"


def test_the_contracts_never_load_httpx() -> None:
    code = (
        "import sys, faces, faces.contracts.jobs, faces.contracts.settings\n"
        "assert 'httpx' not in sys.modules, 'httpx was loaded'\n"
        "from faces import Client\n"
        "assert 'httpx' in sys.modules and Client.__name__ == 'Client'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_people_come_from_all_pages(client: Client, service: FakeService) -> None:
    names = [person.name for person in client.people(collection="team a", query="o&")]
    assert names == ["Ann", "Bob", "Zoë"]
    for request in service.requests:
        assert request.url.params["collection"] == "team a"
        assert request.url.params["query"] == "o&"


def test_a_person_is_read_and_deleted(client: Client, service: FakeService) -> None:
    ann = service.people[0]
    assert client.person(ann.person_id) == ann
    assert client.delete_person(ann.person_id).faces == 1
    with pytest.raises(ApiError) as caught:
        client.person(ann.person_id)
    assert caught.value.code is ErrorCode.UNKNOWN_PERSON


def test_ids_cannot_change_the_address(client: Client, service: FakeService) -> None:
    with pytest.raises(ApiError):
        client.person("../jobs?x=1")
    assert service.requests[0].url.raw_path.startswith(b"/v1/people/..%2Fjobs%3Fx%3D1?")


def test_a_callback_is_asked_for(client: Client, service: FakeService) -> None:
    client.send(JPEG, callback_url="https://example.org/done")
    assert json.loads(service.requests[0].content)["callback_url"] == "https://example.org/done"
