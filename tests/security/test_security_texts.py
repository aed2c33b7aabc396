"""Text is text: whatever stands in it is neither SQL, nor a path, nor a header."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from chalice_app.registry import Operation
from faces.contracts.jobs import JobCreated, JobRequest
from tests.security.tenants import COLLECTION, World, protected
from tests.unit.chalice_app.gateway import call

SQL = [
    "'; DROP TABLE people CASCADE; --",
    "' OR '1'='1",
    "'; SELECT pg_sleep(10); --",
    "') UNION SELECT tenant, tenant, tenant FROM tenants --",
    "$$; DELETE FROM faces; $$",
    "%s %(name)s {0} {name}",
    "\\'; --",
    "Robert\u2019); \u202eDROP",
    "%",
]
PATHS = ["../../etc/passwd", "..%2f..%2fetc", "/etc/passwd", "C:\\x", "a/../../b", ".", "-rf"]
HEADERS = [
    "a\r\nX-Evil: 1",
    "a\nSet-Cookie: x=1",
    "a\x00b",
    "\u0130\u0131\u017f",
    "=?utf-8?b?QQ==?=",
]


Place = tuple[str | int, ...]


def texts(schema: dict[str, Any], whole: dict[str, Any], path: Place = ()) -> Iterator[Place]:
    """Yield the way to each text of a model, those inside of objects and lists included."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    for kind in schema.get("anyOf", ()):
        yield from texts(kind, whole, path)
    for name, field in schema.get("properties", {}).items():
        yield from texts(field, whole, (*path, name))
    if "items" in schema:
        yield from texts(schema["items"], whole, (*path, 0))
    if schema.get("type") == "string":
        yield path


def with_text(document: Any, path: Place, text: str) -> Any:
    """Return a copy of a document with a text in one place, which is made where it is missing."""
    if not path:
        return text
    name, *rest = path
    if isinstance(name, int):
        first, *others = document or [None]
        return [with_text(first, tuple(rest), text), *others]
    return {**(document or {}), name: with_text((document or {}).get(name), tuple(rest), text)}


def hostile_requests(operation: Operation, world: World, text: str) -> Iterator[tuple[str, Any]]:
    """Yield address and body with the text in each place of one operation in turn."""
    tenant = world.attacker
    base = operation.path
    for name in operation.path_values:
        hostile = base.replace(f"{{{name}}}", quote(text, safe=""))
        for other in operation.path_values:
            hostile = hostile.replace(f"{{{other}}}", tenant.ids[other])
        yield hostile, tenant.body(operation)
        base = base.replace(f"{{{name}}}", tenant.ids[name])
    if operation.query is not None:
        for name in operation.query.model_fields:
            yield f"{base}?{name}={quote(text)}", tenant.body(operation)
    if operation.body is not None:
        schema = operation.body.model_json_schema()
        for path in set(texts(schema, schema)):
            yield base, with_text(tenant.body(operation), path, text)


def test_every_text_of_every_body_is_tried() -> None:
    tried = {
        each.name: {
            ".".join(map(str, path))
            for path in texts(each.body.model_json_schema(), each.body.model_json_schema())
        }
        for each in protected()
        if each.body is not None
    }
    assert {"file_name", "callback_url", "params.person_name"} <= tried["create_job"]
    assert "photos.0.file_name" in tried["create_batch"]
    assert {"people.0.name", "people.0.faces.0.model_tag"} <= tried["import_collection"]
    body = with_text({"photos": [{"a": 1}, {}]}, ("photos", 0, "params", "x"), "y")
    assert body == {"photos": [{"a": 1, "params": {"x": "y"}}, {}]}


def test_no_text_harms_the_service(world: World) -> None:
    before = world.holdings()
    for text in (*SQL, *PATHS, *HEADERS):
        tried, slowest = 0, 0.0
        for operation in protected():
            for address, body in hostile_requests(operation, world, text):
                began = time.monotonic()
                answer = call(operation.method, address, body, key=world.attacker.key)
                slowest = max(slowest, time.monotonic() - began)
                tried += 1
                assert answer.status < 500, (operation.name, address, body, answer.body)
                assert world.victim.secret not in answer.body, (operation.name, address)
                for value in answer.headers.values():
                    assert "\r" not in value
                    assert "\n" not in value
                assert "x-evil" not in answer.headers
        assert tried > 60
        # A statement that slept would have done so for ten seconds.
        assert slowest < 9
    assert world.holdings() == before


def test_a_text_is_stored_as_it_is(world: World) -> None:
    path = f"/v1/people/{world.attacker.ids['person_id']}?collection={COLLECTION}"
    for text in SQL:
        changed = call("PATCH", path, {"name": text}, key=world.attacker.key)
        if not text.isprintable():  # what turns the direction of text around
            assert changed.json["field"] == "name"
            continue
        assert changed.status == 200, changed.body
        assert call("GET", path, key=world.attacker.key).json["name"] == text


def test_what_rides_on_an_upload_arrives_as_it_was_or_not_at_all(world: World) -> None:
    """Metadata are headers of the upload; nothing may end one and begin another."""
    for text in (*SQL, *PATHS, *HEADERS):
        body = {"kind": "enroll", "file_name": text, "params": {"person_name": text}}
        answer = call("POST", "/v1/jobs", body, key=world.attacker.key)
        if answer.status == 400:
            assert answer.json["field"] in ("file_name", "params.person_name", "body")
            continue
        fields = JobCreated.model_validate(answer.json).upload.fields
        prefix = "x-amz-meta-"
        carried = {k.removeprefix(prefix): v for k, v in fields.items() if k.startswith(prefix)}
        for value in carried.values():
            assert value.isascii()
            assert value.isprintable()
        request = JobRequest.from_metadata(carried)
        assert (request.file_name, request.params.person_name) == (text, text)
        assert request.tenant == "attacker"
        assert fields["key"].startswith("uploads/")
        assert len(fields["key"]) == len("uploads/") + 36


def test_absurd_documents_are_refused(world: World) -> None:
    deep = "[" * 100_000
    for body in (
        deep,
        '{"a":' * 50_000,
        "null",
        "1e999",
        '{"name": NaN}',
        b"\xff\xfe\x00",
        "{" * 3,
    ):
        answer = call(
            "POST", "/v1/people", body, key=world.attacker.key,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        assert answer.status == 400, (body[:20], answer.body)
    huge = json.dumps({"name": "x" * 1_000_000, "req_id": world.attacker.req_id})
    answer = call(
        "POST", "/v1/people", huge, key=world.attacker.key,
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.status == 400
    assert len(answer.body) < 2000
