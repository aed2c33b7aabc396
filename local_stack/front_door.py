"""The front door: one address for clients, before the emulated API Gateway.

A reverse proxy that lets a limited number of requests in at once and queues the rest (see
`admission`). Like API Gateway it takes a whole request before it lets it in: who sends
slowly holds no place. What goes wrong here is answered with a problem document (RFC 9457).

    python -m local_stack.front_door     # settings: see `FrontDoorSettings`
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import httpx
import uvicorn
from pydantic import Field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from faces.contracts.settings import Settings
from local_stack.admission import Admission, QueueFull
from local_stack.service import ChildProcess, answers

log = logging.getLogger(__name__)

STATUS_PATH = "/_local/front-door"
# RFC 9110, section 7.6.1: meant for one connection only.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer "
    b"transfer-encoding upgrade proxy-connection".split()
)
_RETRY_AFTER_SECONDS = 2
_CONNECT_SECONDS = 5.0
# A form with the largest photo that the settings let in by default, and room to spare.
_MOST_BODY_BYTES = 16 << 20


class FrontDoorSettings(Settings):
    """The front door's settings, as the local stack sets them."""

    port: int = Field(alias="FRONT_DOOR_PORT", description="Port on 127.0.0.1")
    upstream: str = Field(
        alias="FRONT_DOOR_UPSTREAM", description="Base URL of the stage of the emulated API"
    )
    concurrency: int = Field(
        default=16, ge=1, alias="FRONT_DOOR_CONCURRENCY", description="Requests let in at once"
    )
    queue: int = Field(
        default=1000, ge=0, alias="FRONT_DOOR_QUEUE", description="Requests that may wait"
    )
    queue_seconds: float = Field(
        default=60,
        gt=0,
        alias="FRONT_DOOR_QUEUE_SECONDS",
        description="Longest wait in the queue, in seconds",
    )
    upstream_seconds: float = Field(
        default=35,
        gt=0,
        alias="FRONT_DOOR_UPSTREAM_SECONDS",
        description="Longest silence of the API, in seconds; API Gateway's own limit is 29",
    )
    body_seconds: float = Field(
        default=30,
        gt=0,
        alias="FRONT_DOOR_BODY_SECONDS",
        description="Longest time that a request's body may take to come, in seconds",
    )


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers without those that are meant for one connection only."""
    headers = list(headers)
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    }
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in _HOP_BY_HOP and name.lower() not in named
    ]


def forwarded(request: Request) -> list[tuple[bytes, bytes]]:
    """Return the headers for the API: the client's, `Host` too, and `X-Forwarded-*`."""
    client = request.client.host if request.client else "unknown"
    before = request.headers.get("x-forwarded-for")
    added = {
        b"x-forwarded-for": f"{before}, {client}" if before else client,
        b"x-forwarded-host": request.headers.get("host", ""),
        b"x-forwarded-proto": request.url.scheme,
        b"x-forwarded-port": str(request.scope["server"][1]),
    }
    kept = [(name, value) for name, value in end_to_end(request.headers.raw) if name not in added]
    return kept + [(name, value.encode("latin-1")) for name, value in added.items()]


def problem(error: FacesError, status: int, retry_after: int | None = None) -> Response:
    """Return a problem document; `status` is the proxy's own."""
    document = error.problem(new_id()).model_dump(mode="json", exclude_none=True)
    document["status"] = status
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return JSONResponse(document, status, headers, media_type="application/problem+json")


class FrontDoor:
    """The ASGI application.

    Parameters
    ----------
    client : what calls the API; the front door does not close it.
    upstream : base URL of the API's stage.
    body_seconds : within which a request's body must have come.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        upstream: str,
        admission: Admission,
        body_seconds: float,
    ) -> None:
        self._client = client
        self._body_seconds = body_seconds
        self._upstream = upstream.rstrip("/")
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if scope["path"] == STATUS_PATH:
            state = {"in_flight": self._admission.in_flight, "waiting": self._admission.waiting}
            await JSONResponse(state)(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await _body_of_request(request)
        except ClientDisconnect:
            log.info("client left while it sent %s %s", request.method, request.url.path)
        except TimeoutError:
            slow = FacesError(ErrorCode.INVALID_REQUEST, "The request came too slowly.")
            await problem(slow, 408)(scope, _never, send)
        except _TooLarge:
            large = FacesError(ErrorCode.UPLOAD_TOO_LARGE, "The request is too large.")
            await problem(large, 413)(scope, _never, send)
        else:
            await self._answer_unless_gone(request, body, send)

    async def _answer_unless_gone(self, request: Request, body: bytes, send: Send) -> None:
        """Answer; give the place up when the client goes away while it waits."""
        answering = asyncio.create_task(self._answer(request, body, send))
        leaving = asyncio.create_task(_left(request.receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, leaving):
                if not task.done():
                    task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        if not answering.cancelled():
            answering.result()

    async def _answer(self, request: Request, body: bytes, send: Send) -> None:
        try:
            async with self._admission.admitted() as answered:
                await self._pass_on(request, body, send, answered)
        except QueueFull:
            # As API Gateway answers what is over its limits; so waiting stays bounded.
            busy = FacesError(
                ErrorCode.TOO_MANY_REQUESTS,
                "More requests wait than can be served; try again shortly.",
            )
            await problem(busy, 429, _RETRY_AFTER_SECONDS)(request.scope, _never, send)

    async def _pass_on(
        self, request: Request, body: bytes, send: Send, answered: Callable[[], None]
    ) -> None:
        outgoing = self._client.build_request(
            request.method,
            self._target(request),
            headers=forwarded(request),
            content=body if _has_body(request) else None,
        )
        reply: Response
        try:
            incoming = await self._client.send(outgoing, stream=True)
        except httpx.TimeoutException:
            reply = self._failure(request, 504, "The API did not answer in time; try again.")
        except httpx.TransportError as error:
            log.warning("the API cannot be reached: %s", type(error).__name__)
            reply = self._failure(request, 502, "The API cannot be reached; try again shortly.")
        else:
            answered()
            reply = StreamingResponse(_body_of(incoming), incoming.status_code)
            reply.raw_headers = [
                (name.lower(), value) for name, value in end_to_end(incoming.headers.raw)
            ]
        await reply(request.scope, _never, send)

    def _target(self, request: Request) -> str:
        path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope["query_string"]
        return self._upstream + path.decode("latin-1") + ("?" + query.decode() if query else "")

    @staticmethod
    def _failure(request: Request, status: int, sentence: str) -> Response:
        log.warning("%s %s answered with %d", request.method, request.url.path, status)
        return problem(FacesError(ErrorCode.UNAVAILABLE, sentence), status, _RETRY_AFTER_SECONDS)


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length")
    return "transfer-encoding" in request.headers or (length is not None and length != "0")


class _TooLarge(Exception):
    """A body of more bytes than are taken."""


async def _body_of_request(request: Request) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > _MOST_BODY_BYTES:
        raise _TooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BODY_BYTES:
            raise _TooLarge
    return bytes(body)


async def _body_of(incoming: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in incoming.aiter_raw():
            yield chunk
    finally:
        await incoming.aclose()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _never() -> dict[str, str]:
    """Stand in for `receive` where the request was read, or is watched, elsewhere."""
    await asyncio.Event().wait()
    raise AssertionError


def make_app(settings: FrontDoorSettings, client: httpx.AsyncClient) -> ASGIApp:
    """Return the front door for `settings`, calling the API through `client`."""
    admission = Admission(settings.concurrency, settings.queue, settings.queue_seconds)
    return FrontDoor(client, settings.upstream, admission, settings.body_seconds)


def make_client(settings: FrontDoorSettings) -> httpx.AsyncClient:
    """Return the HTTP client towards the API; neither redirects nor proxies are followed."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(settings.upstream_seconds, connect=_CONNECT_SECONDS),
        limits=httpx.Limits(
            max_connections=settings.concurrency,
            # Shorter than the emulator keeps an idle connection, so none is used too late.
            keepalive_expiry=2,
        ),
        trust_env=False,
    )


def front_door_service(settings: FrontDoorSettings, log_file: Path) -> ChildProcess:
    """Return the front door as a process of its own."""
    environment = {
        field.alias: str(getattr(settings, name))
        for name, field in FrontDoorSettings.model_fields.items()
        if field.alias
    }
    return ChildProcess(
        name="front door",
        argv=[sys.executable, "-m", "local_stack.front_door"],
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "PYTHONUNBUFFERED": "1",
            **environment,
        },
        log=log_file,
        ready=lambda: answers(f"http://127.0.0.1:{settings.port}{STATUS_PATH}"),
    )


async def serve(settings: FrontDoorSettings) -> None:
    """Serve on 127.0.0.1 until a signal comes; requests in flight are finished."""
    async with make_client(settings) as client:
        config = uvicorn.Config(
            make_app(settings, client),
            host="127.0.0.1",
            port=settings.port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=5,
        )
        await uvicorn.Server(config).serve()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(serve(FrontDoorSettings.load(os.environ)))


if __name__ == "__main__":
    main()
