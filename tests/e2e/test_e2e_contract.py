"""The running service keeps to its own OpenAPI document, in every operation that it has."""

import base64
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image
from schemathesis.checks import CHECKS, load_all_checks
from skimage import data

from faces.client import Client, Photo
from faces.contracts.dead_letters import DeadLetter
from faces.contracts.ids import new_id
from faces.contracts.jobs import ContentType, JobKind, JobParams
from faces.contracts.names import dead_letter_key, result_key
from local_stack.emulator import root_session
from local_stack.stack import LocalStack

VECTOR = base64.b64encode(b"\x00\x3c" + bytes(1022)).decode()  # 1, 0, 0, ...
CONFORMS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def http(stack: LocalStack) -> Iterator[httpx.Client]:
    headers = {"X-Api-Key": stack.api_key}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=60, trust_env=False) as made:
        yield made


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> Any:
    return http.get("/v1/openapi.json").json()


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


class Contract:
    """Does requests and checks each answer against the document."""

    def __init__(self, http: httpx.Client, document: Any) -> None:
        self.http = http
        self.document = document
        self.done: set[str] = set()

    def __call__(
        self,
        operation: str,
        path: str,
        method: str,
        status: int,
        body: Any = None,
        *,
        file: tuple[str, bytes] | None = None,
        key: str | None = None,
        **query: Any,
    ) -> Any:
        """Do a request; return what was answered.

        Parameters
        ----------
        operation : its path as the document has it.
        path : as it is asked for.
        file : name and content of a form's part, instead of a body.
        key : instead of the stack's own; without one where it is empty.
        """
        described = self.document["paths"][operation][method.lower()]
        headers = {} if key is None else {"X-Api-Key": key}
        files = None if file is None else {file[0]: ("photo.jpg", file[1])}
        answer = self.http.request(
            method, path, json=body, params=query, files=files, headers=headers
        )
        assert answer.status_code == status, answer.text
        self.check(described, answer)
        if answer.is_success:
            self.done.add(described["operationId"])
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    def check(self, described: Any, answer: httpx.Response) -> None:
        name = described["operationId"]
        assert str(answer.status_code) in described["responses"], (name, answer.text)
        [(media, schema)] = described["responses"][str(answer.status_code)]["content"].items()
        assert answer.headers["content-type"].split(";")[0] == media.split(";")[0], name
        assert answer.headers["x-request-id"], name
        if "json" in media:
            whole = {**schema["schema"], "components": self.document["components"]}
            jsonschema.validate(answer.json(), whole)


@pytest.fixture(scope="module")
def ask(http: httpx.Client, document: Any) -> Contract:
    return Contract(http, document)


def astronaut(size: int = 512, *, mirrored: bool = False) -> bytes:
    image = Image.fromarray(data.astronaut()).resize((size, size))  # type: ignore[no-untyped-call]
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


JOB, PERSON = "/v1/jobs/{job_id}", "/v1/people/{person_id}"
COLLECTION = "/v1/collections/{collection}"


def service(ask: Contract) -> None:
    ask("/health", "/health", "GET", 200, deep="1")
    ask("/v1/openapi.json", "/v1/openapi.json", "GET", 200)
    ask("/v1/operations", "/v1/operations", "GET", 200, minutes=5)
    ask("/v1/webhook-key", "/v1/webhook-key", "GET", 200)


def gallery(ask: Contract) -> None:
    name = f"contract-{new_id()[-8:]}"
    ask("/v1/collections", "/v1/collections", "POST", 201, {"collection": name})
    ask("/v1/collections", "/v1/collections", "POST", 409, {"collection": name})
    ask("/v1/collections", "/v1/collections", "GET", 200)
    ask(COLLECTION, f"/v1/collections/{name}", "GET", 200)
    ask(f"{COLLECTION}/settings", f"/v1/collections/{name}/settings", "PUT", 200, {"threshold": 0})
    people = [
        {
            "person_id": new_id(),
            "name": each,
            "faces": [{"face_id": new_id(), "model_tag": "contract/1", "vector": VECTOR}],
        }
        for each in ("Ann", "Bob", "Cid")
    ]
    ask(f"{COLLECTION}/import", f"/v1/collections/{name}/import", "POST", 200, {"people": people})
    ask(f"{COLLECTION}/export", f"/v1/collections/{name}/export", "GET", 200)

    here: Any = {"collection": name}
    listed = ask("/v1/people", "/v1/people", "GET", 200, **here)["people"]
    ann, bob, cid = (person["person_id"] for person in listed)
    ask("/v1/people", "/v1/people", "POST", 404, {**here, "req_id": new_id(), "name": "X"})
    ask("/v1/people", "/v1/people", "POST", 400, {**here, "req_id": new_id()})
    ask(PERSON, f"/v1/people/{ann}", "GET", 200, **here)
    ask(PERSON, f"/v1/people/{ann}", "PATCH", 200, {"name": "Anna"}, **here)
    ask(f"{PERSON}/merge", f"/v1/people/{ann}/merge", "POST", 200, {"merge": bob}, **here)
    [face, *_] = ask(f"{PERSON}/faces", f"/v1/people/{ann}/faces", "GET", 200, **here)["faces"]
    path = f"/v1/faces/{face['face_id']}"
    ask("/v1/faces/{face_id}", path, "PATCH", 200, {"person_id": cid}, **here)
    ask("/v1/faces/{face_id}", path, "DELETE", 200, **here)
    ask("/v1/faces/{face_id}", path, "DELETE", 404, **here)
    ask(PERSON, f"/v1/people/{ann}", "DELETE", 200, **here)
    ask("/v1/audit", "/v1/audit", "GET", 200, collection=name)
    ask(COLLECTION, f"/v1/collections/{name}", "DELETE", 200)


def keys(ask: Contract) -> None:
    new = {"name": "contract", "scopes": ["read"], "requests_per_minute": 2}
    key = ask("/v1/keys", "/v1/keys", "POST", 201, new)
    ask("/v1/keys", "/v1/keys", "GET", 403, key=key["key"])
    ask("/v1/collections", "/v1/collections", "GET", 200, key=key["key"])
    ask("/v1/collections", "/v1/collections", "GET", 429, key=key["key"])
    ask("/v1/keys", "/v1/keys", "GET", 200)
    ask("/v1/keys/{key_id}", f"/v1/keys/{key['key_id']}", "DELETE", 200)
    ask("/v1/collections", "/v1/collections", "GET", 401, key=key["key"])


def recognition(ask: Contract, client: Client) -> None:
    """Jobs with real photos, and people made of their faces."""
    name = f"contract-{new_id()[-8:]}"
    unknown = JobParams(threshold=1)  # nobody is as similar as that

    def req_id(photo: bytes) -> str:
        sent = Photo(photo, ContentType.JPEG, "a.jpg")
        job = client.send(sent, JobKind.IDENTIFY, name, unknown)
        view = ask(JOB, f"/v1/jobs/{job.job_id}", "GET", 200, wait=20)
        assert view["state"] == "succeeded", view
        return str(view["result"]["faces"][0]["req_id"])

    body = {"collection": name, "req_id": req_id(astronaut()), "name": "Eileen"}
    person = ask("/v1/people", "/v1/people", "POST", 201, body)["person_id"]
    other = {"req_id": req_id(astronaut(400, mirrored=True)), "force": True}
    faces = f"/v1/people/{person}/faces"
    ask(f"{PERSON}/faces", faces, "POST", 201, other, collection=name)
    ask(f"{PERSON}/faces", faces, "POST", 404, other, collection=name)

    job = ask("/v1/jobs", "/v1/jobs", "POST", 201, {"kind": "detect"})
    ask(JOB, f"/v1/jobs/{job['job_id']}", "GET", 200)
    ask("/v1/jobs", "/v1/jobs", "GET", 200, limit=5)
    ask(JOB, f"/v1/jobs/{job['job_id']}", "DELETE", 200)
    ask(JOB, f"/v1/jobs/{job['job_id']}", "GET", 410)
    batch = ask("/v1/batches", "/v1/batches", "POST", 201, {"photos": [{}, {}]})
    ask("/v1/batches/{batch_id}", f"/v1/batches/{batch['batch_id']}", "GET", 200)
    ask("/v1/batches/{batch_id}", f"/v1/batches/{new_id()}", "GET", 404)


def seeds(ask: Contract) -> None:
    """The addresses that take a photo and answer in the same request, without a key."""
    photo = astronaut(480)
    accepted = ask("/", "/", "POST", 202, file=("inputFile", photo), key="", wait=0)
    ask(JOB, f"/v1/jobs/{accepted['job_id']}", "GET", 200, wait=20)
    assert ask("/", "/", "POST", 200, file=("inputFile", photo), key="") == "photo:Unknown"
    ask("/", "/", "POST", 400, file=("inputFile", b"no photo"), key="")
    ask("/", "/", "POST", 400, file=("image", photo), key="")

    recognise, add = "/api/v1/recognise_user", "/api/v1/add_user"
    found = ask(recognise, recognise, "POST", 200, file=("image", photo), key="")
    ask(recognise, recognise, "POST", 400, file=("image", b"no photo"), key="")
    user = {"name": "Eileen", "birthdate": "1956-11-19", "email": f"{new_id()}@example.org"}
    made = ask(add, add, "POST", 200, {**user, "req_id": found["req_id"]}, key="")
    ask(add, add, "POST", 404, {**user, "req_id": found["req_id"]}, key="")
    ask(add, add, "POST", 400, {"name": "Eileen"}, key="")
    known = ask(recognise, recognise, "POST", 200, file=("image", astronaut(500)), key="")
    assert known["user_info"]["id"] == made["user_id"]
    # Other tests expect that nobody is known here.
    ask(PERSON, f"/v1/people/{made['user_id']}", "DELETE", 200, collection="seeds")


def dead_letters(ask: Contract, client: Client, stack: LocalStack) -> None:
    """A job that was given up, and is worked on once more."""
    job = client.send(Photo(astronaut(300), ContentType.JPEG, "a.jpg"), JobKind.DETECT)
    assert ask(JOB, f"/v1/jobs/{job.job_id}", "GET", 200, wait=20)["state"] == "succeeded"
    give_up(stack, job.job_id)
    letters = ask("/v1/dead-letters", "/v1/dead-letters", "GET", 200)["letters"]
    assert job.job_id in {letter["job_id"] for letter in letters}
    redrive, its = "/v1/dead-letters/{job_id}/redrive", f"/v1/dead-letters/{job.job_id}/redrive"
    assert ask(redrive, its, "POST", 202)["redriven_at"]
    assert ask(JOB, f"/v1/jobs/{job.job_id}", "GET", 200, wait=20)["state"] == "succeeded"
    ask(redrive, its, "POST", 409)
    ask(redrive, f"/v1/dead-letters/{new_id()}/redrive", "POST", 404)


def give_up(stack: LocalStack, job_id: str) -> None:
    """Leave of a job what is left of one that no worker finished: photo and letter."""
    objects = root_session().client("s3", endpoint_url=stack.settings.endpoint_url)
    out = stack.settings.names.out_bucket
    letter = DeadLetter(
        job_id=job_id,
        queue=stack.settings.names.req_dlq,
        message_id=new_id(),
        body="",
        receive_count=5,
        attributes={},
        reason="made by the test",
        kept_at=datetime.now(UTC),
    )
    body = letter.model_dump_json().encode()
    objects.put_object(Bucket=out, Key=dead_letter_key(job_id), Body=body)
    objects.delete_object(Bucket=out, Key=result_key(job_id))


@pytest.mark.weights
def test_every_operation_answers_as_described(
    ask: Contract, client: Client, stack: LocalStack
) -> None:
    service(ask)
    gallery(ask)
    keys(ask)
    recognition(ask, client)
    seeds(ask)
    dead_letters(ask, client, stack)
    assert {described["operationId"] for *_, described in operations(ask.document)} == ask.done


def test_every_operation_refuses_as_described(ask: Contract) -> None:
    """Without a key, with one that may do nothing here, and with a body of another type."""
    new = {"name": "contract", "scopes": ["read"]}
    weak = ask("/v1/keys", "/v1/keys", "POST", 201, new)
    refused = 0
    for path, method, described in operations(ask.document):
        asked = path.replace("{", "").replace("}", "")
        if described["security"]:
            answer = ask.http.request(method, asked, headers={"X-Api-Key": "wrong"})
            assert answer.status_code in (401, 415), described["operationId"]
            ask.check(described, answer)
            answer = ask.http.request(method, asked, headers={"X-Api-Key": weak["key"]})
            assert answer.status_code in (200, 400, 403, 404, 415), described["operationId"]
            ask.check(described, answer)
            refused += 1
        if "requestBody" in described:
            answer = ask.http.request(
                method, asked, content=b"<x/>", headers={"Content-Type": "application/xml"}
            )
            assert answer.status_code in (400, 415), described["operationId"]
            ask.check(described, answer)
            refused += 1
    ask("/v1/keys/{key_id}", f"/v1/keys/{weak['key_id']}", "DELETE", 200)
    assert refused > len(ask.document["paths"])


def test_strange_requests_get_documented_answers(stack: LocalStack, document: Any) -> None:
    """Bounded: a few examples an operation, made from the document and against it."""
    load_all_checks()
    checks = [CHECKS.get_one(name) for name in CONFORMS]
    tried: set[str] = set()

    def try_out(operation: Any) -> None:
        described = operation.definition.raw
        headers = {"X-Api-Key": stack.api_key} if described["security"] else None

        @settings(
            max_examples=6,
            deadline=None,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            tried.add(described["operationId"])
            # A picture that is one waits for a worker.
            case.call_and_validate(base_url=stack.url, headers=headers, checks=checks, timeout=60)

        ask()

    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        try_out(cast(Any, result).ok())
    assert tried == {described["operationId"] for *_, described in operations(document)}
