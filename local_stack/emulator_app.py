"""The AWS emulator as one ASGI application that a stock `chalice deploy` can deploy to.

Runs under `.venv-emulator`'s Python and imports nothing of this project:

    .venv-emulator/bin/python local_stack/emulator_app.py --port 4566

`ministack` lacks what Chalice asks of API Gateway: importing a whole API (ImportRestApi),
overwriting it (PutRestApi), an empty `minimumCompressionSize`. `ChaliceGateway` stands
before it and expresses each of these in calls that ministack does know. Everything else
passes through untouched.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
# Names of integration fields in a swagger document that PutIntegration also takes.
_INTEGRATION_FIELDS = (
    "uri",
    "httpMethod",
    "passthroughBehavior",
    "contentHandling",
    "requestTemplates",
    "requestParameters",
    "timeoutInMillis",
    "credentials",
)
_GRACEFUL_SECONDS = 3.0


class UpstreamError(Exception):
    """A call that an import was expressed in was refused; holds the refusal."""

    def __init__(self, answer: "Answer") -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


def api_properties(swagger: Mapping[str, Any], query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return what CreateRestApi takes of a swagger document and the import's query."""
    info = swagger.get("info", {})
    properties: dict[str, Any] = {
        "name": info.get("title", "unnamed"),
        "version": info.get("version", ""),
        "binaryMediaTypes": swagger.get("x-amazon-apigateway-binary-media-types", []),
    }
    if types := query.get("endpointConfigurationTypes"):
        properties["endpointConfiguration"] = {"types": types}
    if policy := swagger.get("x-amazon-apigateway-policy"):
        properties["policy"] = json.dumps(policy)
    return properties


def compatible_patch(operations: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the operations of an UpdateRestApi as ministack understands them.

    Chalice sends '' for "no compression", which ministack would store as a size, and
    addresses the endpoint type by its old value, which would turn the list into a map.
    """
    result = []
    for operation in operations:
        path, value = str(operation.get("path", "")), operation.get("value")
        if path == "/minimumCompressionSize" and value in ("", None):
            continue
        if path.startswith("/endpointConfiguration/types/"):
            result.append({**operation, "path": "/endpointConfiguration/types", "value": [value]})
        else:
            result.append(dict(operation))
    return result


class ShelvedObjects:
    """Objects of the run before, given back to their buckets once these exist again.

    ministack reads persisted objects into buckets of its own making, and CloudFormation
    then refuses to create buckets that exist. So what was read is taken away at the start
    and handed back when CloudFormation has made a bucket of the same name.

    Parameters
    ----------
    buckets : ministack's buckets by account and name; emptied.
    """

    def __init__(self, buckets: dict[Any, dict[str, Any]]) -> None:
        self._buckets = buckets
        self._waiting = dict(buckets)
        buckets.clear()

    def give_back(self) -> None:
        """Fill every bucket that exists by now; cheap when nothing waits."""
        for name in [name for name in self._waiting if name in self._buckets]:
            before = self._waiting.pop(name)["objects"]
            now = self._buckets[name]["objects"]
            now.update({key: record for key, record in before.items() if key not in now})


class ChaliceGateway:
    """ASGI middleware that expands what ministack's API Gateway does not know.

    Parameters
    ----------
    application : ministack's ASGI application.
    before_each : called before every request.
    """

    def __init__(
        self, application: Application, before_each: Callable[[], None] = lambda: None
    ) -> None:
        self._application = application
        self._before_each = before_each

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        self._before_each()
        scope = _over_tls(scope)
        handler = self._handler(scope)
        if handler is None:
            await self._application(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        try:
            answer = await handler(scope, body)
        except UpstreamError as error:
            answer = error.answer
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send({"type": "http.response.body", "body": answer.body})

    def _handler(self, scope: Scope) -> Callable[[Scope, bytes], Awaitable[Answer]] | None:
        parts = scope["path"].strip("/").split("/")
        if parts[0] != "restapis" or len(parts) > 2:
            return None
        mode = parse_qs(scope["query_string"].decode()).get("mode", [""])[0]
        match scope["method"], len(parts), mode:
            case "POST", 1, "import":
                return self._import
            case "PUT", 2, "overwrite":
                return self._overwrite
            case "PATCH", 2, _:
                return self._patch
        return None

    async def _import(self, scope: Scope, body: bytes) -> Answer:
        swagger = json.loads(body)
        query = parse_qs(scope["query_string"].decode())
        created = await self._call(scope, "POST", "/restapis", api_properties(swagger, query))
        await self._fill(scope, created.json()["id"], swagger)
        return created

    async def _overwrite(self, scope: Scope, body: bytes) -> Answer:
        swagger = json.loads(body)
        path = scope["path"]
        properties = api_properties(swagger, {})
        operations = [
            {"op": "replace", "path": f"/{name}", "value": value}
            for name, value in properties.items()
        ]
        updated = await self._call(scope, "PATCH", path, {"patchOperations": operations})
        await self._empty(scope, path)
        await self._fill(scope, updated.json()["id"], swagger)
        return Answer(200, updated.body, updated.headers)

    async def _patch(self, scope: Scope, body: bytes) -> Answer:
        operations = compatible_patch(json.loads(body or b"{}").get("patchOperations", []))
        return await self._call(scope, "PATCH", scope["path"], {"patchOperations": operations})

    async def _empty(self, scope: Scope, path: str) -> None:
        """Delete every resource and method of an API but its root resource."""
        for item in await self._resources(scope, path):
            where = f"{path}/resources/{item['id']}"
            if item["path"] != "/":
                await self._call(scope, "DELETE", where)
                continue
            for method in item.get("resourceMethods", {}):
                await self._call(scope, "DELETE", f"{where}/methods/{method}")

    async def _fill(self, scope: Scope, api_id: str, swagger: Mapping[str, Any]) -> None:
        """Create the resources, methods and integrations of a swagger document."""
        path = f"/restapis/{api_id}"
        known = {item["path"]: item["id"] for item in await self._resources(scope, path)}
        for route, operations in swagger.get("paths", {}).items():
            at, parent = "", known["/"]
            for part in filter(None, route.split("/")):
                at += "/" + part
                if at not in known:
                    made = await self._call(
                        scope, "POST", f"{path}/resources/{parent}", {"pathPart": part}
                    )
                    known[at] = made.json()["id"]
                parent = known[at]
            for method in _METHODS:
                if method in operations:
                    where = f"{path}/resources/{parent}/methods/{method.upper()}"
                    await self._put_method(scope, where, operations[method])

    async def _put_method(self, scope: Scope, where: str, operation: Mapping[str, Any]) -> None:
        await self._call(scope, "PUT", where, {"authorizationType": "NONE"})
        for status, response in operation.get("responses", {}).items():
            shown = {f"method.response.header.{name}": True for name in response.get("headers", {})}
            await self._call(
                scope, "PUT", f"{where}/responses/{status}", {"responseParameters": shown}
            )
        wanted = operation["x-amazon-apigateway-integration"]
        integration = {name: wanted[name] for name in _INTEGRATION_FIELDS if name in wanted}
        integration["type"] = wanted["type"].upper()
        await self._call(scope, "PUT", f"{where}/integration", integration)
        for pattern, response in wanted.get("responses", {}).items():
            await self._call(
                scope,
                "PUT",
                f"{where}/integration/responses/{response['statusCode']}",
                {
                    "selectionPattern": "" if pattern == "default" else pattern,
                    "responseParameters": response.get("responseParameters", {}),
                },
            )

    async def _resources(self, scope: Scope, path: str) -> list[dict[str, Any]]:
        answer = await self._call(scope, "GET", f"{path}/resources", query="limit=500")
        items: list[dict[str, Any]] = answer.json().get("item", [])
        return items

    async def _call(
        self, scope: Scope, method: str, path: str, payload: Any = None, query: str = ""
    ) -> Answer:
        """Make one call as the caller of `scope`; raise UpstreamError when it is refused."""
        body = b"" if payload is None else json.dumps(payload).encode()
        keep = (b"authorization", b"x-amz-date", b"x-amz-security-token", b"host")
        headers = [(name, value) for name, value in scope["headers"] if name.lower() in keep]
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-forwarded-proto", b"https"),
        ]
        inner = {
            **scope,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
        }
        answer = await _collect(self._application, inner, body)
        if answer.status >= 400:
            raise UpstreamError(answer)
        return answer


def _over_tls(scope: Scope) -> Scope:
    """Mark a call to an AWS service as encrypted.

    The stack's policies refuse unencrypted calls (`aws:SecureTransport`). On the loopback
    interface there is no TLS, and turning the policies off would leave them untried.
    """
    if scope["path"].startswith("/_aws/execute-api/"):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or None when the client went away."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _collect(application: Application, scope: Scope, body: bytes) -> Answer:
    """Run one request through `application` and return its answer."""
    sent = False
    status = 500
    headers: list[tuple[bytes, bytes]] = []
    chunks: list[bytes] = []

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            chunks.append(message.get("body", b""))

    await application(scope, receive, send)
    return Answer(status, b"".join(chunks), headers)


def guard_process_group() -> None:
    """Have everything in this process group killed when this process ends, however it ends.

    Emulated Lambdas are children of the emulator; one that is in the middle of a call
    would outlive a killed emulator. A forked guardian waits for the pipe that only this
    process holds open, then ends the group. Only done by the leader of a group.
    """
    if os.getpgrp() != os.getpid():
        return
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(writer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.read(reader, 1)
        os.killpg(0, signal.SIGKILL)
    os.close(reader)


@contextlib.asynccontextmanager
async def _ends_on_signal() -> AsyncIterator[Callable[[], Awaitable[None]]]:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    async def wait() -> None:
        await ended.wait()

    yield wait


def ask_for_no_batch_permissions(iam_actions: Any) -> None:
    """Have a batch call need the permission of the single call, as SQS does.

    `ministack` asks for `sqs:SendMessageBatch`, an action that does not exist (SQS
    developer guide, "Amazon SQS API permissions").
    """
    stock = iam_actions.extract_iam_action

    def extract(*arguments: Any, **named: Any) -> str | None:
        action: str | None = stock(*arguments, **named)
        if action is not None and action.startswith("sqs:"):
            return action.removesuffix("Batch")
        return action

    iam_actions.extract_iam_action = extract


async def serve(port: int) -> None:
    """Serve the emulator on 127.0.0.1:`port` until SIGTERM."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config
    from ministack.app import app as ministack_app
    from ministack.core import hypercorn_compat, iam_actions
    from ministack.services import s3

    hypercorn_compat.install()
    ask_for_no_batch_permissions(iam_actions)
    shelved = ShelvedObjects(s3._buckets._data)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = _GRACEFUL_SECONDS
    config.errorlog = "-"
    async with _ends_on_signal() as ended:
        application: Any = ChaliceGateway(ministack_app, shelved.give_back)
        await hypercorn_serve(application, config, shutdown_trigger=ended)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="AWS emulator, ready for chalice deploy")
    parser.add_argument("--port", type=int, required=True)
    guard_process_group()
    # Each warm Lambda and each client holds a few files.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(serve(parser.parse_args(arguments).port))


if __name__ == "__main__":
    main(sys.argv[1:])
