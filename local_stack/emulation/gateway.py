"""What Chalice asks of API Gateway and ministack does not know.

Importing a whole API (ImportRestApi), overwriting it (PutRestApi), and an empty
`minimumCompressionSize` are expressed in calls that ministack does know. Everything else
passes through untouched.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from local_stack.emulation.asgi import (
    Answer,
    Application,
    Receive,
    Scope,
    Send,
    collect,
    whole_body,
)

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


class UpstreamError(Exception):
    """A call that an import was expressed in was refused; holds the refusal."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


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


def _ancestors(route: str) -> list[str]:
    """Return the resources above a route, the root first, and the route."""
    parts = [part for part in route.split("/") if part]
    return ["/", *("/" + "/".join(parts[:count]) for count in range(1, len(parts) + 1))]


class ChaliceGateway:
    """ASGI middleware that expands what ministack's API Gateway does not know.

    Parameters
    ----------
    application : ministack's ASGI application.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        handler = self._handler(scope)
        if handler is None:
            await self._application(scope, receive, send)
            return
        body = await whole_body(receive)
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
        # In place, and only then what is too much: requests come meanwhile.
        await self._fill(scope, updated.json()["id"], swagger)
        await self._remove_others(scope, path, swagger)
        return Answer(200, updated.body, updated.headers)

    async def _patch(self, scope: Scope, body: bytes) -> Answer:
        operations = compatible_patch(json.loads(body or b"{}").get("patchOperations", []))
        return await self._call(scope, "PATCH", scope["path"], {"patchOperations": operations})

    async def _remove_others(self, scope: Scope, path: str, swagger: Mapping[str, Any]) -> None:
        """Delete every resource and method of an API that the document does not have."""
        wanted = {route.rstrip("/") or "/": each for route, each in swagger["paths"].items()}
        parents = {part for route in wanted for part in _ancestors(route)}
        for item in await self._resources(scope, path):
            where = f"{path}/resources/{item['id']}"
            operations = wanted.get(item["path"], {})
            if not operations and item["path"] not in parents:
                await self._call(scope, "DELETE", where)
                continue
            for method in item.get("resourceMethods", {}):
                if method.lower() not in operations:
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
        answer = await collect(self._application, inner, body)
        if answer.status >= 400:
            raise UpstreamError(answer)
        return answer
