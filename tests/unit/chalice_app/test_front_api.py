"""The HTTP interface as API Gateway calls it."""

import json
import logging
from collections.abc import Sequence
from datetime import date
from typing import Any, TypeVar

import pytest

from chalice_app import dependencies
from chalice_app.api import OPERATIONS
from chalice_app.http import METHODS
from faces.contracts.errors import CATALOGUE, ErrorCode, FacesError, Problem
from faces.contracts.ids import check_job_id, new_id
from faces.contracts.jobs import JobCreated, JobRequest, JobView
from faces.contracts.results import Enrolment
from faces.contracts.version import CODE_VERSION
from faces.gallery.enrolment import Guard
from faces.gallery.records import Deleted, NewPerson, Person, PersonPage
from tests.unit.chalice_app.fakes import KEY, NOW, SECRET, FakeContext, make_settings, photo
from tests.unit.chalice_app.gateway import Answer, call

T = TypeVar("T")
# Fixed, because it names a test.
UNKNOWN = "01a1fe3f-4440-7283-9f9d-42adac281cfc"


class FakeGallery:
    """Remembers what it was asked and answers one thing, or raises it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    def enroll_unmatched(self, **asked: Any) -> Enrolment:
        return self._answer(("enroll", asked), Enrolment(person_id="p", face_id="f", name="N"))

    def get_person(self, *asked: str) -> Person:
        return self._answer(("get", *asked), PERSON)

    def list_people(self, *asked: str, **options: Any) -> PersonPage:
        return self._answer(("list", *asked, options), PersonPage(people=(PERSON,)))

    def delete_person(self, *asked: str, actor: str) -> Deleted:
        deleted = Deleted(people=1, faces=3, unmatched_faces=1, jobs=("j",))
        return self._answer(("delete", *asked, actor), deleted)

    def photos_deleted(self, jobs: Sequence[str]) -> None:
        self.asked.append(("photos", *jobs))

    def _answer(self, asked: tuple[Any, ...], answer: T) -> T:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        return answer


PERSON = Person(person_id="p", name="N", birthdate=date(1990, 1, 2), faces=3, created_at=NOW)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    made = FakeContext(gallery=FakeGallery())
    monkeypatch.setattr(dependencies, "context", lambda: made)
    return made


def problem(answer: Answer, code: ErrorCode, field: str | None = None) -> Problem:
    """Check that an answer is this problem, in every respect, and return it."""
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate(answer.json)
    assert (found.code, found.field) == (code, field)
    assert answer.status == found.status == CATALOGUE[code].status
    assert found.type == f"urn:faces:error:{code.value}"
    assert found.title == CATALOGUE[code].title
    assert found.request_id == answer.headers["x-request-id"]
    return found


def test_a_job_is_opened(context: FakeContext) -> None:
    body = {
        "kind": "verify",
        "collection": "staff",
        "content_type": "image/png",
        "file_name": "a.png",
        "callback_url": "https://example.com/x",
        "params": {"person_id": new_id(), "false_accept_rate": 0.001},
    }
    answer = call("POST", "/v1/jobs", body)
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    created = JobCreated.model_validate(answer.json)
    assert check_job_id(created.job_id, SECRET.encode(), "default") == created.job_id
    assert created.poll_url == f"https://api.test/api/v1/jobs/{created.job_id}"
    assert answer.headers["location"] == created.poll_url
    fields = created.upload.fields
    prefix = "x-amz-meta-"
    carried = {k.removeprefix(prefix): v for k, v in fields.items() if k.startswith(prefix)}
    assert JobRequest.from_metadata(carried) == JobRequest(**body, key_id="root")
    assert fields["key"] == f"uploads/{created.job_id}"
    assert fields["Content-Type"] == "image/png"
    assert context.objects.stored == {}


def test_everything_of_a_job_has_a_default(context: FakeContext) -> None:
    created = JobCreated.model_validate(call("POST", "/v1/jobs", {}).json)
    assert created.upload.fields["x-amz-meta-kind"] == "identify"
    assert created.upload.fields["x-amz-meta-collection"] == "default"


def test_the_public_address_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    made = FakeContext(settings=make_settings(FACES_PUBLIC_URL="http://127.0.0.1:8000/"))
    monkeypatch.setattr(dependencies, "context", lambda: made)
    created = JobCreated.model_validate(call("POST", "/v1/jobs", {}).json)
    assert created.poll_url == f"http://127.0.0.1:8000/v1/jobs/{created.job_id}"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "dance"}, "kind"),
        ({"collection": ""}, "collection"),
        ({"collection": "../x"}, "collection"),
        ({"content_type": "image/gif"}, "content_type"),
        ({"file_name": "a\nb"}, "file_name"),
        ({"file_name": "x" * 201}, "file_name"),
        ({"callback_url": "ftp://example.com"}, "callback_url"),
        ({"callback_url": "https://"}, "callback_url"),
        ({"callback_url": "https://exämple.com"}, "callback_url"),
        ({"callback_url": "https://[x"}, "callback_url"),
        ({"params": {"false_accept_rate": 1.1}}, "params.false_accept_rate"),
        ({"params": {"max_faces": 0}}, "params.max_faces"),
        ({"params": {"candidates": 11}}, "params.candidates"),
        ({"params": {"quality_filter": "BEST"}}, "params.quality_filter"),
        ({"params": {"tresholt": 0.5}}, "params.tresholt"),
        ({"params": []}, "params"),
        ({"kind": "enroll"}, "body"),
        ({"kind": "verify"}, "body"),
        ({"tenant": "else"}, "tenant"),
        ({"photo": "..."}, "photo"),
    ],
)
def test_a_wrong_field_is_named(context: FakeContext, body: Any, field: str) -> None:
    found = problem(call("POST", "/v1/jobs", body), ErrorCode.INVALID_REQUEST, field)
    assert found.detail.startswith(f"{field}: ")


def test_all_wrong_fields_are_in_the_detail(context: FakeContext) -> None:
    answer = call("POST", "/v1/jobs", {"kind": "x", "params": {"false_accept_rate": 9}})
    detail = problem(answer, ErrorCode.INVALID_REQUEST, "kind").detail
    assert "kind: " in detail
    assert "params.false_accept_rate: " in detail


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "\ud83d", "[" * 100_000])
def test_bodies_that_are_no_json_object(context: FakeContext, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    text = body.encode("utf-8", "replace").decode()
    problem(call("POST", "/v1/jobs", text, headers=headers), ErrorCode.INVALID_REQUEST, "body")


def test_a_missing_body(context: FakeContext) -> None:
    problem(call("POST", "/v1/jobs"), ErrorCode.INVALID_REQUEST, "body")


def test_a_body_that_the_gateway_encoded_is_read(context: FakeContext) -> None:
    assert call("POST", "/v1/jobs", {"kind": "detect"}, encoded=True).status == 201


def test_a_body_of_another_type(context: FakeContext) -> None:
    answer = call("POST", "/v1/jobs", "{}", headers={"Content-Type": "text/plain"})
    problem(answer, ErrorCode.UNSUPPORTED_MEDIA_TYPE)


def test_a_charset_is_no_other_type(context: FakeContext) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert call("POST", "/v1/jobs", "{}", headers=headers).status == 201


def test_a_job_is_watched_to_its_end(context: FakeContext) -> None:
    job_id = context.new_job()
    found = JobView.model_validate(call("GET", f"/v1/jobs/{job_id}").json)
    assert (found.job_id, found.state) == (job_id, "awaiting_upload")
    uploaded = context.upload(photo())
    assert call("GET", f"/v1/jobs/{uploaded}").json["state"] == "queued"
    context.results.fail(uploaded, JobRequest(), FacesError(ErrorCode.NO_FACE))
    answer = call("GET", f"/v1/jobs/{uploaded}")
    assert answer.status == 200
    assert answer.json["state"] == "failed"
    assert answer.json["error"]["code"] == "no_face"


def test_an_unknown_job(context: FakeContext) -> None:
    problem(call("GET", f"/v1/jobs/{new_id()}"), ErrorCode.UNKNOWN_JOB)


VERSIONED = [
    (operation.method, operation.path.replace("{", "").replace("}", ""))
    for operation in OPERATIONS
    if operation.path.startswith("/v1") and operation.name != "get_openapi"
]


@pytest.mark.parametrize(("method", "path"), VERSIONED)
@pytest.mark.parametrize("key", [None, "", "wrong", KEY + " ", "ключ"])
def test_no_address_answers_without_the_key(
    context: FakeContext, method: str, path: str, key: str | None
) -> None:
    answer = call(method, path, key=key, headers={"Content-Type": "application/json"})
    problem(answer, ErrorCode.UNAUTHENTICATED)
    assert "X-Api-Key" in answer.headers["www-authenticate"]


@pytest.mark.parametrize("key", [None, "", "x"])
def test_without_a_configured_key_nobody_gets_in(
    monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    made = FakeContext(settings=make_settings(FACES_API_KEY_SHA256=""))
    monkeypatch.setattr(dependencies, "context", lambda: made)
    problem(call("POST", "/v1/jobs", {}, key=key), ErrorCode.UNAUTHENTICATED)


def test_a_person_is_made_of_an_unknown_face(context: FakeContext) -> None:
    body = {
        "collection": "staff",
        "req_id": new_id(),
        "name": " Ada ",
        "birthdate": "1815-12-10",
        "email": "ada@example.com",
        "external_id": "7",
    }
    answer = call("POST", "/v1/people", body)
    assert answer.status == 201
    assert answer.json == {"person_id": "p", "face_id": "f", "name": "N", "warnings": []}
    ((_, asked),) = context.gallery.asked
    assert asked == {
        "tenant": "default",
        "collection": "staff",
        "req_id": body["req_id"],
        "person": NewPerson(
            name="Ada",
            birthdate=date(1815, 12, 10),
            email="ada@example.com",
            external_id="7",
        ),
        "guard": Guard(force=False),
        "actor": "root",
    }


def test_a_face_is_added_to_a_person(context: FakeContext) -> None:
    person_id = new_id()
    call("POST", "/v1/people", {"req_id": new_id(), "person_id": person_id})
    ((_, asked),) = context.gallery.asked
    assert (asked["person"], asked["collection"]) == (person_id, "default")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"person_id": "p"}, "body"),
        ({"req_id": "r"}, "body"),
        ({"req_id": "r", "name": "A", "person_id": "p"}, "body"),
        ({"req_id": "r", "person_id": "p", "email": "a@b"}, "body"),
        ({"req_id": "r", "name": ""}, "name"),
        ({"req_id": "r", "name": "A", "email": "a"}, "email"),
        ({"req_id": "r", "name": "A", "birthdate": "soon"}, "birthdate"),
        ({"req_id": "r", "name": "A", "age": 3}, "age"),
    ],
)
def test_a_person_with_a_wrong_field(context: FakeContext, body: Any, field: str) -> None:
    problem(call("POST", "/v1/people", body), ErrorCode.INVALID_REQUEST, field)
    assert context.gallery.asked == []


@pytest.mark.parametrize(
    "code",
    [ErrorCode.UNKNOWN_REQ_ID, ErrorCode.DUPLICATE_PERSON, ErrorCode.UNAVAILABLE],
)
def test_the_gallerys_errors_are_answered(context: FakeContext, code: ErrorCode) -> None:
    context.gallery.error = FacesError(code)
    answer = call("POST", "/v1/people", {"req_id": "r", "name": "A"})
    problem(answer, code)
    assert ("retry-after" in answer.headers) is (code is ErrorCode.UNAVAILABLE)


def test_people_are_read_and_deleted(context: FakeContext) -> None:
    assert Person.model_validate(call("GET", "/v1/people/p?collection=staff").json) == PERSON
    assert PersonPage.model_validate(call("GET", "/v1/people").json).people == (PERSON,)
    call("GET", "/v1/people?collection=staff&query=a&cursor=c&limit=7")
    assert call("DELETE", "/v1/people/p").json == {
        "person_id": "p",
        "faces": 3,
        "unmatched_faces": 1,
        "photos": 1,
    }
    default = {"query": None, "cursor": None, "limit": 50}
    assert context.gallery.asked == [
        ("get", "default", "staff", "p"),
        ("list", "default", "default", default),
        ("list", "default", "staff", {"query": "a", "cursor": "c", "limit": 7}),
        ("delete", "default", "default", "p", "root"),
        ("photos", "j"),
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=x", "limit"), ("limit=-1", "limit"), ("collection=.", "collection")],
)
def test_a_list_with_a_wrong_parameter(context: FakeContext, query: str, field: str) -> None:
    problem(call("GET", f"/v1/people?{query}"), ErrorCode.INVALID_REQUEST, field)


@pytest.mark.parametrize("path", ["/x", "/v1", "/v2/jobs", "/v1/jobs/a/b", "/health/x"])
@pytest.mark.parametrize("method", METHODS)
def test_unknown_addresses(context: FakeContext, method: str, path: str) -> None:
    problem(call(method, path, key=None), ErrorCode.UNKNOWN_ROUTE)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, POST"),
        ("PATCH", "/v1/jobs", "GET, POST"),
        ("POST", f"/v1/jobs/{UNKNOWN}", "DELETE, GET"),
        ("PUT", "/v1/people/x", "DELETE, GET, PATCH"),
        ("DELETE", "/health", "GET"),
        ("PUT", "/", "GET, POST"),
    ],
)
def test_other_methods(context: FakeContext, method: str, path: str, allowed: str) -> None:
    answer = call(method, path)
    problem(answer, ErrorCode.METHOD_NOT_ALLOWED)
    assert answer.headers["allow"] == allowed


def test_unexpected_errors_are_logged_and_say_nothing(
    context: FakeContext, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    context.gallery.error = RuntimeError("the database password is swordfish")
    with caplog.at_level(logging.ERROR):
        answer = call("GET", "/v1/people/p")
    problem(answer, ErrorCode.INTERNAL)
    assert "swordfish" not in answer.body
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[1] is context.gallery.error


def test_wrong_settings_are_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    made = FakeContext(settings=make_settings(FACES_ID_SECRET=""))
    monkeypatch.setattr(dependencies, "context", lambda: made)
    answer = call("POST", "/v1/jobs", {})
    problem(answer, ErrorCode.INTERNAL)
    assert "SECRET" not in answer.body


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/v1/people"])
@pytest.mark.parametrize("key", [KEY, None])
def test_every_answer_carries_a_request_id_and_lets_browsers_read_it(
    context: FakeContext, path: str, key: str | None
) -> None:
    answer = call("GET", path, key=key)
    assert answer.headers["x-request-id"] == "gateway-request-1"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert "X-Api-Key" in answer.headers["access-control-allow-headers"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("client-id_1.2", "client-id_1.2"),
        ("short", "gateway-request-1"),
        ("a" * 65, "gateway-request-1"),
        ("has a space in it", "gateway-request-1"),
        ("<script>alert(1)", "gateway-request-1"),
    ],
)
def test_a_harmless_id_of_the_client_is_kept(context: FakeContext, given: str, used: str) -> None:
    assert call("GET", "/", headers={"x-request-id": given}).headers["x-request-id"] == used


def test_health_needs_no_key_and_says_the_version(context: FakeContext) -> None:
    answer = call("GET", "/health", key=None)
    assert answer.json == {"status": "ok", "version": CODE_VERSION, "stack": "faces-test"}


def test_deep_health_looks_at_database_and_queue(context: FakeContext) -> None:
    answer = call("GET", "/health?deep=1", key=None)
    assert answer.json["checks"] == {"database": "ok", "queue": "ok"}


@pytest.mark.parametrize("away", ["database", "queue"])
def test_deep_health_names_what_is_away(context: FakeContext, away: str) -> None:
    context.database_away = away == "database"
    context.queues.away = away == "queue"
    found = problem(call("GET", "/health?deep=1", key=None), ErrorCode.UNAVAILABLE)
    assert found.detail == f"Not answering: {away}."
    assert call("GET", "/health", key=None).status == 200


def test_the_key_is_in_no_log_line(
    context: FakeContext, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        call("POST", "/v1/jobs", {"kind": "x"})
        call("POST", "/v1/jobs", {}, key="another key")
    written = capsys.readouterr().out + caplog.text + str([vars(r) for r in caplog.records])
    assert KEY not in written
    assert "another key" not in written


def test_the_name_of_whom_a_face_looks_like_is_in_no_log_line(
    context: FakeContext, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    context.gallery.error = FacesError(ErrorCode.LOOKS_LIKE_ANOTHER, f"Annabel ({UNKNOWN})")
    with caplog.at_level(logging.DEBUG):
        answer = call("POST", "/v1/people", {"name": "Bob Lee", "req_id": UNKNOWN})
    assert "Annabel" in problem(answer, ErrorCode.LOOKS_LIKE_ANOTHER).detail
    written = capsys.readouterr().out + caplog.text + str([vars(r) for r in caplog.records])
    assert "looks_like_another" in written
    assert "Annabel" not in written
    assert "Bob Lee" not in written


def test_metrics_of_a_request(context: FakeContext, capsys: pytest.CaptureFixture[str]) -> None:
    call("GET", "/health")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    (emf,) = lines
    (definition,) = emf["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == "ElasticFaces"
    assert definition["Dimensions"] == [["Stack"]]
    assert emf["Requests"] == [1.0]
