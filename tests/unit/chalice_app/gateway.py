"""API Gateway in memory: finds the resource of a path and calls the app as Lambda would."""

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app import app
from tests.unit.chalice_app.fakes import KEY


@dataclass(frozen=True)
class Answer:
    """What a client gets; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    method: str,
    address: str,
    body: Any = None,
    *,
    key: str | None = KEY,
    headers: dict[str, str] | None = None,
    encoded: bool = False,
) -> Answer:
    """Send one request; a body that is neither text nor bytes is sent as JSON."""
    parts = urlsplit(address)
    resource, values = find_resource(parts.path)
    sent = {"Host": "api.test", "X-Forwarded-Proto": "https", **(headers or {})}
    if key is not None:
        sent["X-Api-Key"] = key
    encoded = encoded or isinstance(body, bytes)
    if body is not None and not isinstance(body, str | bytes):
        body = json.dumps(body)
        sent.setdefault("Content-Type", "application/json")
    if encoded and body is not None:
        body = base64.b64encode(body.encode() if isinstance(body, str) else body).decode()
    event = {
        "resource": resource,
        "path": parts.path,
        "httpMethod": method,
        "headers": sent,
        "multiValueQueryStringParameters": parse_qs(parts.query) or None,
        "pathParameters": values or None,
        "stageVariables": None,
        "requestContext": {
            "httpMethod": method,
            "resourcePath": resource,
            "path": "/api" + parts.path,
            "stage": "api",
            "requestId": "gateway-request-1",
        },
        "body": body,
        "isBase64Encoded": encoded,
    }
    answer = app(event, None)
    found = {name.lower(): value for name, value in answer["headers"].items()}
    return Answer(answer["statusCode"], found, answer["body"])


def find_resource(path: str) -> tuple[str, dict[str, str]]:
    """Return the resource that API Gateway would choose, and the values in the path.

    Literal parts win over parameters, and anything wins over the greedy one ("Set up a
    proxy integration", API Gateway developer guide).
    """
    parts = path.strip("/").split("/")
    for pattern in sorted(app.routes, key=lambda pattern: ("+" in pattern, pattern.count("{"))):
        if pattern == "/{proxy+}":
            return pattern, {"proxy": path.strip("/")}
        wanted = pattern.strip("/").split("/")
        if len(wanted) == len(parts) and all(
            want.startswith("{") or want == part for want, part in zip(wanted, parts, strict=True)
        ):
            pairs = zip(wanted, parts, strict=True)
            return pattern, {want[1:-1]: part for want, part in pairs if want.startswith("{")}
    raise AssertionError("the greedy route is missing")
