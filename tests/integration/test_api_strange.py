"""Strange requests, many more than the running stack is sent, get documented answers only.

Schemathesis makes them from the OpenAPI document; the app answers in this process, on a real
database.
"""

import http.server
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks

from faces.contracts.jobs import JobRequest
from faces.contracts.names import UPLOAD_PREFIX
from faces.contracts.results import JobResult
from tests.fixtures.api import api_on
from tests.unit.chalice_app.fakes import KEY, FakeContext
from tests.unit.chalice_app.gateway import call

EXAMPLES = 10
CONFORMS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]


class Gateway(http.server.BaseHTTPRequestHandler):
    """Hands requests to the app as API Gateway does."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = call(
            self.command,
            self.path,
            body if body else None,
            key=self.headers.get("X-Api-Key"),
            headers={name: value for name, value in self.headers.items() if name != "X-Api-Key"},
        )
        content = answer.body.encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def work(context: FakeContext) -> None:
    """Do what a worker does with photos that show nobody."""
    names = context.settings.names
    for key in context.objects.keys(names.in_bucket):
        job_id = key.removeprefix(UPLOAD_PREFIX)
        done = JobResult(
            job_id=job_id,
            kind="identify",
            tenant="default",
            collection="default",
            state="succeeded",
            code_version="1",
            submitted_at=context.clock(),
            finished_at=context.clock(),
        )
        context.results.end(done, JobRequest())
        context.objects.delete(names.in_bucket, key)


@pytest.fixture
def url(shared_database_url: str) -> Iterator[str]:
    with (
        api_on(shared_database_url, FACES_SEED_SCOPE="default/default") as context,
        http.server.HTTPServer(("127.0.0.1", 0), Gateway) as server,
    ):
        context.cache.while_waiting = lambda _seconds: work(context)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


# Asks AWS how the stack stands; there is none here.
LEFT_TO_THE_STACK = {"get_operations"}


def test_strange_requests_get_documented_answers(url: str) -> None:
    load_all_checks()
    checks = [CHECKS.get_one(name) for name in CONFORMS]
    document = call("GET", "/v1/openapi.json", key=None).json
    tried: set[str] = set()

    def try_out(operation: Any) -> None:
        described = operation.definition.raw
        if described["operationId"] in LEFT_TO_THE_STACK:
            return
        headers = {"X-Api-Key": KEY} if described["security"] else None

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            tried.add(described["operationId"])
            case.call_and_validate(base_url=url, headers=headers, checks=checks)

        ask()

    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        try_out(cast(Any, result).ok())
    every = {each["operationId"] for item in document["paths"].values() for each in item.values()}
    assert tried == every - LEFT_TO_THE_STACK
