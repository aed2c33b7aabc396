"""How imports of whole APIs are expressed in calls that ministack knows."""

import asyncio
import json
from typing import Any

import pytest

from local_stack.emulation.asgi import Message, Receive, Scope, Send
from local_stack.emulation.encrypted import Encrypted
from local_stack.emulation.gateway import ChaliceGateway, api_properties, compatible_patch
from local_stack.emulation.objects import ShelvedObjects

PROXY = {
    "type": "aws_proxy",
    "httpMethod": "POST",
    "uri": "arn:aws:apigateway:us-east-1:lambda:path/functions/f/invocations",
    "contentHandling": "CONVERT_TO_TEXT",
    "responses": {"default": {"statusCode": "200"}},
}
PREFLIGHT = {
    "responses": {"200": {"headers": {"Access-Control-Allow-Origin": {"type": "string"}}}},
    "x-amazon-apigateway-integration": {
        "type": "mock",
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "responses": {
            "default": {
                "statusCode": "200",
                "responseParameters": {"method.response.header.Access-Control-Allow-Origin": "'*'"},
            }
        },
    },
}
SWAGGER = {
    "info": {"title": "faces", "version": "1.0"},
    "x-amazon-apigateway-binary-media-types": ["image/png"],
    "paths": {
        "/": {"get": {"x-amazon-apigateway-integration": PROXY}},
        "/v1/jobs": {"post": {"x-amazon-apigateway-integration": PROXY}, "options": PREFLIGHT},
        "/v1/jobs/{job_id}": {"get": {"x-amazon-apigateway-integration": PROXY}},
    },
}


class Gateway:
    """As much of ministack's API Gateway as the middleware calls; remembers every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.bodies: dict[tuple[str, str], Any] = {}
        self.resources = {"root": ("/", set[str]())}
        self.refuse: str | None = None
        self.protocols: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        body = json.loads(message["body"] or b"null")
        call = (scope["method"], scope["path"])
        self.calls.append(call)
        self.bodies[call] = body
        self.protocols |= {v for name, v in scope["headers"] if name == b"x-forwarded-proto"}
        status, answer = (403, {}) if scope["path"] == self.refuse else self._answer(*call, body)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        match method, path.strip("/").split("/"):
            case "POST", ["restapis"]:
                return 201, {"id": "api"}
            case "PATCH", ["restapis", api]:
                return 200, {"id": api}
            case "GET", ["restapis", _, "resources"]:
                items = [
                    {"id": id_, "path": path, "resourceMethods": {verb: {} for verb in methods}}
                    for id_, (path, methods) in self.resources.items()
                ]
                return 200, {"item": items}
            case "POST", ["restapis", _, "resources", parent]:
                at = self.resources[parent][0].rstrip("/") + "/" + body["pathPart"]
                self.resources[at.replace("/", "-")] = (at, set())
                return 201, {"id": at.replace("/", "-")}
            case "PUT", ["restapis", _, "resources", id_, "methods", verb]:
                self.resources[id_][1].add(verb)
                return 201, {}
            case "DELETE", ["restapis", _, "resources", id_]:
                del self.resources[id_]
                return 202, {}
            case "DELETE", ["restapis", _, "resources", id_, "methods", verb]:
                self.resources[id_][1].remove(verb)
                return 204, {}
        return 200, {}

    def routes(self) -> set[tuple[str, str]]:
        return {(verb, path) for path, verbs in self.resources.values() for verb in verbs}


def send(
    gateway: Gateway, method: str, path: str, query: str = "", body: Any = None
) -> tuple[int, Any]:
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"authorization", b"AWS4-HMAC-SHA256 Credential=test/x")],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def collect(message: Message) -> None:
        sent.append(message)

    asyncio.run(Encrypted(ChaliceGateway(gateway))(scope, receive, collect))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


ROUTES = {
    ("GET", "/"),
    ("POST", "/v1/jobs"),
    ("OPTIONS", "/v1/jobs"),
    ("GET", "/v1/jobs/{job_id}"),
}


def test_an_import_makes_every_route_of_the_document(gateway: Gateway) -> None:
    status, answer = send(gateway, "POST", "/restapis", "mode=import", SWAGGER)
    assert (status, answer) == (201, {"id": "api"})
    assert gateway.routes() == ROUTES
    assert {path for path, _ in gateway.resources.values()} == {
        "/",
        "/v1",
        "/v1/jobs",
        "/v1/jobs/{job_id}",
    }


def test_an_import_keeps_every_attribute_of_an_integration(gateway: Gateway) -> None:
    send(gateway, "POST", "/restapis", "mode=import", SWAGGER)
    where = "/restapis/api/resources/-v1-jobs/methods"
    assert gateway.bodies["PUT", f"{where}/POST/integration"] == {
        "type": "AWS_PROXY",
        "httpMethod": "POST",
        "uri": PROXY["uri"],
        "contentHandling": "CONVERT_TO_TEXT",
    }
    assert gateway.bodies["PUT", f"{where}/OPTIONS/integration/responses/200"] == {
        "selectionPattern": "",
        "responseParameters": {"method.response.header.Access-Control-Allow-Origin": "'*'"},
    }


def test_an_overwrite_leaves_nothing_of_the_routes_before(gateway: Gateway) -> None:
    send(gateway, "POST", "/restapis", "mode=import", SWAGGER)
    paths = {"/": {"post": SWAGGER["paths"]["/"]["get"]}, "/new": SWAGGER["paths"]["/"]}  # type: ignore[index]
    status, answer = send(
        gateway, "PUT", "/restapis/api", "mode=overwrite", {**SWAGGER, "paths": paths}
    )
    assert (status, answer["id"]) == (200, "api")
    assert gateway.routes() == {("POST", "/"), ("GET", "/new")}


def test_a_route_that_stays_is_there_all_the_time_of_an_overwrite(gateway: Gateway) -> None:
    send(gateway, "POST", "/restapis", "mode=import", SWAGGER)
    del gateway.calls[:]
    old = SWAGGER["paths"]
    paths = {"/": old["/"], "/v1/jobs": {"post": old["/v1/jobs"]["post"]}}  # type: ignore[index]
    send(gateway, "PUT", "/restapis/api", "mode=overwrite", {**SWAGGER, "paths": paths})
    assert gateway.routes() == {("GET", "/"), ("POST", "/v1/jobs")}
    deleted = [path for method, path in gateway.calls if method == "DELETE"]
    assert deleted == [
        "/restapis/api/resources/-v1-jobs/methods/OPTIONS",
        "/restapis/api/resources/-v1-jobs-{job_id}",
    ]


def test_a_refusal_of_one_call_is_the_answer(gateway: Gateway) -> None:
    gateway.refuse = "/restapis"
    assert send(gateway, "POST", "/restapis", "mode=import", SWAGGER)[0] == 403
    assert gateway.calls == [("POST", "/restapis")]


def test_a_plain_creation_and_other_services_pass_through(gateway: Gateway) -> None:
    send(gateway, "POST", "/restapis", "", {"name": "plain"})
    send(gateway, "GET", "/some-bucket/restapis", "mode=import")
    assert gateway.calls == [("POST", "/restapis"), ("GET", "/some-bucket/restapis")]
    assert gateway.bodies["POST", "/restapis"] == {"name": "plain"}


def test_calls_to_services_count_as_encrypted_and_calls_of_the_api_do_not(gateway: Gateway) -> None:
    send(gateway, "GET", "/_aws/execute-api/api/api/health")
    assert gateway.protocols == set()
    send(gateway, "GET", "/bucket/key")
    assert gateway.protocols == {b"https"}


def test_chalice_patches_are_made_fit() -> None:
    operations = [
        {"op": "replace", "path": "/minimumCompressionSize", "value": ""},
        {"op": "replace", "path": "/endpointConfiguration/types/EDGE", "value": "REGIONAL"},
        {"op": "replace", "path": "/name", "value": "n"},
    ]
    assert compatible_patch(operations) == [
        {"op": "replace", "path": "/endpointConfiguration/types", "value": ["REGIONAL"]},
        {"op": "replace", "path": "/name", "value": "n"},
    ]


def test_a_real_compression_size_is_kept() -> None:
    operations = [{"op": "replace", "path": "/minimumCompressionSize", "value": "0"}]
    assert compatible_patch(operations) == operations


def test_properties_of_an_api() -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    properties = api_properties(
        {**SWAGGER, "x-amazon-apigateway-policy": policy},
        {"endpointConfigurationTypes": ["REGIONAL"]},
    )
    assert properties == {
        "name": "faces",
        "version": "1.0",
        "binaryMediaTypes": ["image/png"],
        "endpointConfiguration": {"types": ["REGIONAL"]},
        "policy": json.dumps(policy),
    }


def test_shelved_objects_wait_for_their_bucket_and_never_replace_a_newer_one() -> None:
    buckets: dict[Any, dict[str, Any]] = {
        ("1", "in"): {"objects": {"a": "old", "b": "old"}},
        ("1", "out"): {"objects": {"c": "old"}},
    }
    shelved = ShelvedObjects(buckets)
    assert buckets == {}
    shelved.give_back()
    assert buckets == {}
    buckets["1", "in"] = {"objects": {"a": "new"}}
    shelved.give_back()
    shelved.give_back()
    assert buckets == {("1", "in"): {"objects": {"a": "new", "b": "old"}}}
