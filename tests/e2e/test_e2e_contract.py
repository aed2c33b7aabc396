"""The running service keeps to its own OpenAPI document."""

import base64
from collections.abc import Iterator
from typing import Any, cast

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS

from faces.contracts.ids import new_id
from local_stack.stack import LocalStack

VECTOR = base64.b64encode(b"\x00\x3c" + bytes(1022)).decode()  # 1, 0, 0, ...
CONFORMS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]
# Seeded endpoints wait for a worker; what they answer is tested where they are.
SKIPPED_PATHS = {"/", "/api/v1/recognise_user", "/api/v1/add_user"}


@pytest.fixture(scope="module")
def http(stack: LocalStack) -> Iterator[httpx.Client]:
    headers = {"X-Api-Key": stack.api_key}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=30, trust_env=False) as made:
        yield made


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> Any:
    return http.get("/v1/openapi.json").json()


class Contract:
    """Does requests and checks each answer against the document."""

    def __init__(self, http: httpx.Client, document: Any) -> None:
        self.http = http
        self.document = document
        self.seen: set[str] = set()

    def __call__(
        self, operation: str, path: str, method: str, status: int, body: Any = None, **query: Any
    ) -> Any:
        described = self.document["paths"][operation][method.lower()]
        answer = self.http.request(method, path, json=body, params=query)
        assert answer.status_code == status, answer.text
        content = described["responses"][str(status)]["content"]
        [(media, schema)] = content.items()
        assert answer.headers["content-type"].split(";")[0] == media.split(";")[0]
        if media == "application/json" or media.endswith("+json"):
            whole = {**schema["schema"], "components": self.document["components"]}
            jsonschema.validate(answer.json(), whole)
        self.seen.add(described["operationId"])
        return answer.json() if "json" in media else answer.text


def test_every_operation_answers_as_described(
    stack: LocalStack, http: httpx.Client, document: Any
) -> None:
    ask = Contract(http, document)
    name = f"contract-{new_id()[-8:]}"
    ask("/health", "/health", "GET", 200)
    ask("/v1/openapi.json", "/v1/openapi.json", "GET", 200)

    collection = "/v1/collections/{collection}"
    ask("/v1/collections", "/v1/collections", "POST", 201, {"collection": name})
    ask("/v1/collections", "/v1/collections", "POST", 409, {"collection": name})
    ask("/v1/collections", "/v1/collections", "GET", 200)
    ask(collection, f"/v1/collections/{name}", "GET", 200)
    ask(f"{collection}/settings", f"/v1/collections/{name}/settings", "PUT", 200, {"threshold": 0})
    people = [
        {
            "person_id": new_id(),
            "name": each,
            "faces": [{"face_id": new_id(), "model_tag": "contract/1", "vector": VECTOR}],
        }
        for each in ("Ann", "Bob", "Cid")
    ]
    ask(f"{collection}/import", f"/v1/collections/{name}/import", "POST", 200, {"people": people})
    ask(f"{collection}/export", f"/v1/collections/{name}/export", "GET", 200)

    here = {"collection": name}
    listed = ask("/v1/people", "/v1/people", "GET", 200, **here)["people"]
    ann, bob, cid = (person["person_id"] for person in listed)
    ask("/v1/people", "/v1/people", "POST", 404, {**here, "req_id": new_id(), "name": "X"})
    ask("/v1/people", "/v1/people", "POST", 400, {**here, "req_id": new_id()})
    person = "/v1/people/{person_id}"
    ask(person, f"/v1/people/{ann}", "GET", 200, **here)
    ask(person, f"/v1/people/{ann}", "PATCH", 200, {"name": "Anna"}, **here)
    ask(f"{person}/merge", f"/v1/people/{ann}/merge", "POST", 200, {"merge": bob}, **here)
    [face, *_] = ask(f"{person}/faces", f"/v1/people/{ann}/faces", "GET", 200, **here)["faces"]
    ask(f"{person}/faces", f"/v1/people/{ann}/faces", "POST", 404, {"req_id": new_id()}, **here)
    path = f"/v1/faces/{face['face_id']}"
    ask("/v1/faces/{face_id}", path, "PATCH", 200, {"person_id": cid}, **here)
    ask("/v1/faces/{face_id}", path, "DELETE", 200, **here)
    ask(person, f"/v1/people/{ann}", "DELETE", 200, **here)
    ask(collection, f"/v1/collections/{name}", "DELETE", 200)

    key = ask("/v1/keys", "/v1/keys", "POST", 201, {"name": "contract", "scopes": ["read"]})
    ask("/v1/keys", "/v1/keys", "GET", 200)
    ask("/v1/keys/{key_id}", f"/v1/keys/{key['key_id']}", "DELETE", 200)
    ask("/v1/audit", "/v1/audit", "GET", 200, collection=name)

    ask("/v1/jobs", "/v1/jobs", "GET", 200, limit=5)
    ask("/v1/operations", "/v1/operations", "GET", 200, minutes=5)

    ask("/v1/webhook-key", "/v1/webhook-key", "GET", 200)

    job = ask("/v1/jobs", "/v1/jobs", "POST", 201, {"kind": "detect"})
    ask("/v1/jobs/{job_id}", f"/v1/jobs/{job['job_id']}", "GET", 200)
    ask("/v1/jobs/{job_id}", f"/v1/jobs/{job['job_id']}", "DELETE", 200)

    every = {
        described["operationId"]
        for path, item in document["paths"].items()
        if path not in SKIPPED_PATHS and "batch" not in path
        for described in item.values()
    }
    assert ask.seen == every


def test_strange_requests_get_documented_answers(stack: LocalStack, document: Any) -> None:
    """Bounded: a few examples an operation, made from the document and against it."""
    schema = schemathesis.openapi.from_dict(document)
    checks = [CHECKS.get_one(name) for name in CONFORMS]
    tried = 0
    for result in schema.get_all_operations():
        operation: Any = cast(Any, result).ok()
        if operation.path in SKIPPED_PATHS:
            continue

        @settings(
            max_examples=6,
            deadline=None,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(
                base_url=stack.url, headers={"X-Api-Key": stack.api_key}, checks=checks
            )

        check()
    assert tried > 50
