"""Bad input gets a code, the field and a sentence: every validation there is, one by one.

What models say (types, lengths, patterns, bounds, required and unknown fields) is read from
the schemas of each operation and broken one constraint at a time. What code checks beyond
that has a case in `BY_HAND`, and a test finds checks that no case reaches.
"""

import ast
import base64
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from chalice_app.api import OPERATIONS
from chalice_app.forms import MAX_PARTS, MULTIPART
from chalice_app.registry import Operation
from faces.contracts import collections, jobs, people, texts
from faces.contracts.errors import InvalidInput
from faces.contracts.ids import new_id
from faces.gallery.records import NewPerson
from tests.fixtures import broken
from tests.fixtures.api import api_on
from tests.fixtures.gallery import enroll, vector
from tests.unit.chalice_app.fakes import FakeContext
from tests.unit.chalice_app.gateway import Answer, call

ROOT = Path(__file__).resolve().parents[2]
VECTOR = base64.b64encode(vector(1).astype("<f2").tobytes()).decode()
FACE = {"face_id": new_id(), "model_tag": "m/1", "vector": VECTOR}
PERSON = {"person_id": new_id(), "name": "Ann"}
DETAILS = {"birthdate": "1990-01-02", "email": "a@b", "external_id": "7"}
QUALITY = {
    "sharpness": 50,
    "brightness": 50,
    "pose": {"roll": 0, "yaw": 0, "pitch": 0},
    "size_px": 90,
    "reasons": ["LOW_SHARPNESS"],
}
# A good body of each operation that takes JSON; arrays hold an item, to be broken too.
GOOD: dict[str, Any] = {
    "create_job": {},
    "create_batch": {"photos": [{}]},
    "enroll_person": {"req_id": "r", "name": "Ann", **DETAILS},
    "update_person": {"name": "Ann", **DETAILS},
    "merge_people": {"merge": "m"},
    "add_face": {"req_id": "r"},
    "move_face": {"person_id": "p"},
    "create_collection": {"collection": "c"},
    "change_collection": {},
    "import_collection": {
        "people": [{**PERSON, **DETAILS, "faces": [{**FACE, "quality": QUALITY}]}]
    },
    "create_key": {"name": "K", "scopes": ["read"]},
    "add_user": {"name": "Ann", "birthdate": "1990-01-02", "req_id": "r"},
}
JSON_BODIES = {
    each.name: each
    for each in OPERATIONS
    if each.body is not None and each.consumes[0] != MULTIPART
}
QUERIES = {each.name: each for each in OPERATIONS if each.query is not None}


@pytest.fixture
def context(shared_database_url: str) -> Iterator[FakeContext]:
    with api_on(shared_database_url, FACES_SEED_SCOPE="default/default") as made:
        yield made


def refused(answer: Answer, field: str) -> str:
    """Check that an answer says what is wrong where, and return its sentence."""
    assert answer.status == 400, answer.body
    if answer.json.get("status") == "error":  # the form of /api/v1
        assert answer.json["error_code"] == "invalid_request"
        said = str(answer.json["message"])
    else:
        assert (answer.json["code"], answer.json["field"]) == ("invalid_request", field)
        said = str(answer.json["detail"])
    assert said.startswith(f"{field}: ") or said.endswith("."), said
    assert len(said.removeprefix(f"{field}: ").split()) >= 3, f"no sentence: {said}"
    return said


def address(operation: Operation, query: str = "") -> str:
    path = operation.path
    for name in operation.path_values:
        path = path.replace(f"{{{name}}}", "default" if name == "collection" else new_id())
    return f"{path}?{query}"


# -- what the models say -----------------------------------------------------------------


def test_every_operation_has_a_good_body() -> None:
    assert set(GOOD) == set(JSON_BODIES)


@pytest.mark.parametrize("name", GOOD)
def test_each_constraint_of_a_body(context: FakeContext, name: str) -> None:
    operation = JSON_BODIES[name]
    assert operation.body is not None
    operation.body.model_validate(GOOD[name])
    wrong = broken.every(GOOD[name], operation.body.model_json_schema())
    # What is read back from storage lets unknown fields pass, within bodies too.
    assert len({each.field for each in wrong}) > len(operation.body.model_fields)
    for each in wrong:
        answer = call(operation.method, address(operation), each.put_into(GOOD[name]))
        try:
            refused(answer, each.field)
        except AssertionError as error:
            raise AssertionError(f"{each.constraint} of {each.field}: {error}") from None


@pytest.mark.parametrize("name", QUERIES)
def test_each_constraint_of_a_query(context: FakeContext, name: str) -> None:
    operation = QUERIES[name]
    assert operation.query is not None
    tried = 0
    for each in broken.every({}, operation.query.model_json_schema()):
        # Everything in a query is text, and what is empty counts as left out.
        if each.constraint in ("required", "minLength") or isinstance(each.value, list):
            continue
        if each.constraint == "type" and isinstance(each.value, dict):
            continue
        value = str(each.value).replace("\t", "%09").replace(" ", "%20").replace("\n", "%0A")
        body = GOOD.get(name)
        headers = {}
        if operation.consumes == (MULTIPART,):
            headers, body = form_headers(), form(file("inputFile", b"x"))
        answer = call(
            operation.method, address(operation, f"{each.field}={value}"), body, headers=headers
        )
        refused(answer, each.field)
        tried += 1
    assert tried > 1


# -- what code checks beyond ---------------------------------------------------------------

BOUNDARY = "xyz"


def form_headers(content_type: str = f"{MULTIPART}; boundary={BOUNDARY}") -> dict[str, str]:
    return {"Content-Type": content_type}


def part(disposition: str, data: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def file(name: str, data: bytes) -> bytes:
    return part(f'form-data; name="{name}"; filename="a.jpg"', data)


def text(name: str, data: bytes) -> bytes:
    return part(f'form-data; name="{name}"', data)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True)
class Case:
    """A request with something wrong that no schema tells of.

    Attributes
    ----------
    field : which is named.
    says : of the sentence.
    of : the model's validator that is meant, where it is one.
    """

    operation: str
    field: str
    says: str
    body: Any = None
    query: str = ""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    of: Any = None
    collection: str = "default"
    person: bool = False


def odd_form(operation: str, field: str, says: str, *parts: bytes, whole: bool = True) -> Case:
    body = form(*parts) if whole else b"".join(parts)
    return Case(operation, field, says, body, headers=form_headers())


JSON_HEADERS = {"Content-Type": "application/json"}
BOTH = {"false_accept_rate": 0.1, "threshold": 0.5}
REQ = {"req_id": "r"}
BY_HAND = [
    # Texts that people read, and that the database keeps.
    Case("enroll_person", "name", "visible", {**REQ, "name": " \t"}, of=texts.one_line),
    Case("update_person", "external_id", "visible", {"external_id": "a\0b"}, of=texts.one_line),
    Case("create_job", "params.person_name", "visible",
         {"kind": "enroll", "params": {"person_name": "a\nb"}}, of=texts.one_line),
    Case("create_job", "file_name", "control", {"file_name": "a\nb"},
         of=jobs.NewJob._no_control_characters),
    # What belongs together, or excludes each other.
    Case("create_job", "body", "person_id or params.person_name", {"kind": "enroll"},
         of=jobs.NewJob._kind_has_what_it_needs),
    Case("create_job", "body", "person_id or params.person_name",
         {"kind": "enroll", "params": {"person_id": "p", "person_name": "Ann"}},
         of=jobs.NewJob._kind_has_what_it_needs),
    Case("create_job", "body", "person_id or params.req_id", {"kind": "verify"},
         of=jobs.NewJob._kind_has_what_it_needs),
    Case("create_job", "params", "not both", {"params": BOTH}, of=jobs.JobParams._one_limit),
    Case("change_collection", "body", "not both", BOTH,
         of=collections.CollectionSettings._one_limit),
    Case("create_collection", "settings", "not both", {"collection": "c", "settings": BOTH},
         of=collections.CollectionSettings._one_limit),
    Case("create_batch", "body", "person_id or params.person_name",
         {"kind": "enroll", "photos": [{}]}, of=jobs.NewJob._kind_has_what_it_needs),
    Case("enroll_person", "body", "not both", {**REQ}, of=people.EnrolUnknown._new_or_known),
    Case("enroll_person", "body", "not both", {**REQ, "name": "A", "person_id": "p"},
         of=people.EnrolUnknown._new_or_known),
    Case("enroll_person", "body", "needs a req_id", {"person_id": "p"},
         of=people.EnrolUnknown._new_or_known),
    Case("enroll_person", "body", "keeps their details", {**REQ, "person_id": "p", "email": "a@b"},
         of=people.EnrolUnknown._new_or_known),
    # Addresses of callbacks.
    *(
        Case(operation, "callback_url", says, {**GOOD[operation], "callback_url": url})
        for operation in ("create_job", "create_batch")
        for url, says in (
            ("ftp://example.org", "http or https"),
            ("https://", "http or https"),
            ("https://u:p@example.org", "user name"),
            ("http://127.0.0.1/x", "public"),
            ("http://169.254.169.254/latest/meta-data", "public"),
            ("http://[::1]/", "public"),
            ("http://localhost:8000/", "public"),
        )
    ),
    Case("create_job", "file_name", "shorter", {"file_name": "\U0001f600" * 200}),
    # Bodies that are no JSON object.
    *(
        Case("create_job", "body", says, body, headers=JSON_HEADERS)
        for body, says in (
            ("{", "no valid JSON"),
            ("", "no valid JSON"),
            ("[" * 100_000, "no valid JSON"),
            ("[]", "JSON object"),
            ('"x"', "JSON object"),
            ('{"file_name": "\\ud800"}', "no Unicode"),
        )
    ),
    # Forms.
    *(
        each
        for operation, wanted in (("name_face", "inputFile"), ("recognise_user", "image"))
        for each in (
            odd_form(operation, wanted, "required"),
            odd_form(operation, wanted, "send a file", text(wanted, b"no file")),
            odd_form(operation, "colour", "not known", file(wanted, b"x"), text("colour", b"x")),
            odd_form(operation, wanted, "twice", file(wanted, b"x"), file(wanted, b"x")),
            odd_form(operation, wanted, "more than", text(wanted, b"x" * 5000)),
            odd_form(operation, "body", "UTF-8", part('form-data; name="\x80"', b"x").replace(
                "\x80".encode(), b"\xff")),
            odd_form(operation, "body", "no name", part("form-data", b"x")),
            odd_form(operation, "body", "ends before", file(wanted, b"x"), whole=False),
            odd_form(operation, "body", "broken", b"nothing of a form"),
            odd_form(operation, "body", "at most", *[text("x", b"")] * (MAX_PARTS + 1)),
            Case(operation, "body", "boundary", form(file(wanted, b"x")),
                 headers=form_headers(MULTIPART)),
        )
    ),
    Case("add_user", "email", "pattern", {**GOOD["add_user"], "email": "no address"}),
    Case("add_user", "name", "visible", {**GOOD["add_user"], "name": "\t"}, of=texts.one_line),
    # What only the gallery knows.
    Case("list_people", "cursor", "next_cursor", query="cursor=x"),
    Case("list_audit", "cursor", "next_cursor", query="cursor=x"),
    Case("export_collection", "cursor", "next_cursor", query="cursor=x"),
    Case("merge_people", "merge", "with itself", person=True),
    Case("delete_collection", "collection", "always stays"),
    Case("import_collection", "collection", "63 letters", {"people": [PERSON]}, collection="-"),
    Case("import_collection", "people.0.person_id", "no id",
         {"people": [{**PERSON, "person_id": "x" * 36}]}),
    Case("import_collection", "people.0.faces.0.face_id", "no id",
         {"people": [{**PERSON, "faces": [{**FACE, "face_id": "x" * 36}]}]}),
    Case("import_collection", "people.0.faces.0.vector", "base64",
         {"people": [{**PERSON, "faces": [{**FACE, "vector": "!" * len(VECTOR)}]}]}),
    Case("import_collection", "people.0.faces.0.vector", "unit length",
         {"people": [{**PERSON, "faces": [{**FACE, "vector": "A" * (len(VECTOR) - 2) + "=="}]}]}),
]  # fmt: skip


def send(context: FakeContext, case: Case) -> str:
    [operation] = [each for each in OPERATIONS if each.name == case.operation]
    path, body = operation.path.replace("{collection}", case.collection), case.body
    if case.person:
        person_id = enroll(context.gallery, NewPerson(name="Ann"), vector(7)).person_id
        path, body = path.replace("{person_id}", person_id), {"merge": person_id}
    path = path.replace("{person_id}", new_id()) + f"?{case.query}"
    said = refused(call(operation.method, path, body, headers=case.headers), case.field)
    assert case.says in said
    return said


@pytest.mark.parametrize("case", BY_HAND, ids=lambda case: f"{case.operation}-{case.says}")
def test_each_check_beyond_the_models(context: FakeContext, case: Case) -> None:
    send(context, case)


# Cannot be reached by a request: the query's own model stands before it.
NOT_OVER_HTTP = {("faces/gallery/people.py", "page")}


def test_no_check_is_without_a_case(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `InvalidInput(...)` in the code is raised by one of the cases."""
    raised: set[tuple[str, int]] = set()
    make = InvalidInput.__init__

    def watched(self: InvalidInput, field: str, detail: str) -> None:
        frame = sys._getframe(1)
        made_in = Path(inspect.getfile(frame)).resolve()
        raised.add((made_in.relative_to(ROOT).as_posix(), frame.f_lineno))
        make(self, field, detail)

    monkeypatch.setattr(InvalidInput, "__init__", watched)
    for case in BY_HAND:
        send(context, case)
    there = {
        (path.relative_to(ROOT).as_posix(), line)
        for folder in ("chalice_app", "faces")
        for path in (ROOT / folder).rglob("*.py")
        for name, line in _checks(path)
        if (path.relative_to(ROOT).as_posix(), name) not in NOT_OVER_HTTP
    }
    assert there - raised == set()


def _checks(path: Path) -> Iterator[tuple[str, int]]:
    """Yield function and line of each `InvalidInput(...)` of a module."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "InvalidInput":
                    yield function.name, node.lineno


def test_no_validator_of_a_model_is_without_a_case() -> None:
    """Every validator that is written in a contract module has a case that names it."""
    tried = {case.of.__name__ for case in BY_HAND if case.of is not None}
    written: set[str] = set()
    for operation in OPERATIONS:
        for model in filter(None, (operation.body, operation.query)):
            written |= set(_validators(model, set()))
    assert written - tried == CALLED_BY_OTHERS


# Makes the jobs of a batch, whose own validators then speak.
CALLED_BY_OTHERS = {"_makes_jobs"}


def _validators(model: type[BaseModel], seen: set[type]) -> Iterator[str]:
    if model in seen:
        return
    seen.add(model)
    decorators = model.__pydantic_decorators__
    yield from decorators.model_validators
    yield from decorators.field_validators
    for about in model.model_fields.values():
        for mark in about.metadata:
            function = getattr(mark, "func", None)
            if function is not None:
                yield function.__name__
        for inner in _models(about.annotation):
            yield from _validators(inner, seen)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part_ in getattr(annotation, "__args__", ()):
        yield from _models(part_)
