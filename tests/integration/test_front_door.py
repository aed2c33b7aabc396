"""The front door, as a process before a small API."""

import asyncio
import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from faces.contracts.errors import Problem
from local_stack.front_door import STATUS_PATH, FrontDoorSettings, front_door_service
from local_stack.settings import free_ports

CONCURRENCY = 4
ALL_BYTES = bytes(range(256)) * 40


class Upstream:
    """An API in a thread that tells what it was asked, and can be made to wait."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.open = threading.Event()
        self.open.set()
        self.inside = 0
        self.most = 0
        app = Starlette(
            routes=[
                Route("/stage/wait", self.wait),
                Route("/stage/binary", self.binary),
                Route("/stage/{path:path}", self.echo, methods=["GET", "POST", "PUT", "DELETE"]),
            ]
        )
        config = uvicorn.Config(app, host="127.0.0.1", port=self.port, log_level="error")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    async def wait(self, _request: Request) -> Response:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            while not self.open.is_set():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.02)
        finally:
            self.inside -= 1
        return JSONResponse({"ok": True})

    async def binary(self, _request: Request) -> Response:
        return Response(
            gzip.compress(ALL_BYTES),
            status_code=203,
            headers={"Content-Encoding": "gzip", "Connection": "close", "X-Own": "kept"},
            media_type="image/jpeg",
        )

    async def echo(self, request: Request) -> Response:
        body = await request.body()
        return JSONResponse(
            {
                "method": request.method,
                "path": request.scope["raw_path"].decode(),
                "query": request.url.query,
                "headers": dict(request.headers),
                "bytes": len(body),
                "same": body == ALL_BYTES,
            }
        )


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    made.thread.start()
    wait_until(lambda: made.server.started)
    yield made
    made.open.set()
    made.server.should_exit = True
    made.thread.join()


@pytest.fixture
def front_door(upstream: Upstream, tmp_path: Path) -> Iterator[str]:
    yield from serve(upstream.port, tmp_path)


@pytest.fixture
def narrow_door(upstream: Upstream, tmp_path: Path) -> Iterator[str]:
    """One request at once, one in the queue."""
    yield from serve(upstream.port, tmp_path, FRONT_DOOR_CONCURRENCY="1", FRONT_DOOR_QUEUE="1")


@pytest.fixture
def impatient_door(upstream: Upstream, tmp_path: Path) -> Iterator[str]:
    """One that waits for the API no longer than half a second."""
    yield from serve(upstream.port, tmp_path, FRONT_DOOR_UPSTREAM_SECONDS="0.5")


def serve(upstream_port: int, tmp_path: Path, **environ: str) -> Iterator[str]:
    port = free_ports(1)[0]
    settings = FrontDoorSettings.load(
        {
            "FRONT_DOOR_PORT": str(port),
            "FRONT_DOOR_UPSTREAM": f"http://127.0.0.1:{upstream_port}/stage",
            "FRONT_DOOR_CONCURRENCY": str(CONCURRENCY),
            **environ,
        }
    )
    service = front_door_service(settings, tmp_path / "front-door.log")
    service.start()
    yield f"http://127.0.0.1:{port}"
    service.stop()


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def in_the_background(call: Callable[[], httpx.Response]) -> Callable[[], httpx.Response]:
    """Start `call` in a thread; return what waits for its answer."""
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()

    def answer() -> httpx.Response:
        thread.join(30)
        return answers[0]

    return answer


def state(url: str) -> dict[str, int]:
    found: dict[str, int] = httpx.get(url + STATUS_PATH).json()
    return found


def test_path_query_and_headers_arrive_as_they_were_sent(front_door: str) -> None:
    url = front_door + "/v1/people%2Fa%20b/%C3%BC?q=a%26b&q=c+d"
    seen = httpx.get(
        url,
        headers={
            "Host": "faces.example",
            "X-Api-Key": "key",
            "X-Forwarded-For": "10.0.0.1",
            "X-Forwarded-Proto": "gopher",
            "Connection": "close, X-Hop",
            "X-Hop": "only to the next",
        },
    ).json()
    assert seen["path"] == "/stage/v1/people%2Fa%20b/%C3%BC"
    assert seen["query"] == "q=a%26b&q=c+d"
    headers = seen["headers"]
    assert headers["host"] == "faces.example"
    assert headers["x-api-key"] == "key"
    assert headers["x-forwarded-host"] == "faces.example"
    assert headers["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == front_door.rpartition(":")[2]
    assert "x-hop" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_binary_body_arrives_byte_for_byte(front_door: str, method: str) -> None:
    seen = httpx.request(method, front_door + "/v1/photo", content=ALL_BYTES).json()
    assert (seen["method"], seen["same"]) == (method, True)
    assert seen["headers"]["content-length"] == str(len(ALL_BYTES))


def test_a_body_of_unknown_length_arrives(front_door: str) -> None:
    parts = (ALL_BYTES[start : start + 1000] for start in range(0, len(ALL_BYTES), 1000))
    assert httpx.post(front_door + "/v1/photo", content=parts).json()["same"]


def test_a_large_body_arrives(front_door: str) -> None:
    seen = httpx.post(front_door + "/v1/photo", content=b"x" * 8_000_000, timeout=30).json()
    assert seen["bytes"] == 8_000_000


def test_a_binary_answer_comes_back_as_it_is(front_door: str) -> None:
    with httpx.stream("GET", front_door + "/binary") as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.status_code == 203
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-own"] == "kept"
    assert gzip.decompress(raw) == ALL_BYTES


def test_a_hundred_clients_are_answered_and_never_more_than_so_many_at_once(
    front_door: str, upstream: Upstream
) -> None:
    waiting = [in_the_background(lambda: httpx.get(front_door + "/wait", timeout=60))]
    context = httpx.create_ssl_context()
    waiting += [
        in_the_background(lambda: httpx.get(front_door + "/wait", timeout=60, verify=context))
        for _ in range(99)
    ]
    assert [answer().status_code for answer in waiting] == [200] * 100
    assert upstream.most == CONCURRENCY
    # A place is given up after the answer is.
    wait_until(lambda: state(front_door) == {"in_flight": 0, "waiting": 0})


def test_who_comes_to_a_full_queue_is_told_when_to_come_again(
    narrow_door: str, upstream: Upstream
) -> None:
    upstream.open.clear()
    first = in_the_background(lambda: httpx.get(narrow_door + "/wait", timeout=30))
    wait_until(lambda: state(narrow_door)["in_flight"] == 1)
    second = in_the_background(lambda: httpx.get(narrow_door + "/wait", timeout=30))
    wait_until(lambda: state(narrow_door)["waiting"] == 1)
    third = httpx.get(narrow_door + "/wait", timeout=30)
    upstream.open.set()
    assert third.status_code == 429
    assert int(third.headers["retry-after"]) > 0
    assert problem(third).code == "too_many_requests"
    assert [first().status_code, second().status_code] == [200, 200]


def test_who_waits_too_long_in_the_queue_is_told_so(upstream: Upstream, tmp_path: Path) -> None:
    doors = serve(
        upstream.port, tmp_path, FRONT_DOOR_CONCURRENCY="1", FRONT_DOOR_QUEUE_SECONDS="0.2"
    )
    url = next(doors)
    upstream.open.clear()
    first = in_the_background(lambda: httpx.get(url + "/wait", timeout=30))
    wait_until(lambda: upstream.inside == 1)
    assert httpx.get(url + "/wait", timeout=30).status_code == 429
    assert state(url) == {"in_flight": 1, "waiting": 0}
    upstream.open.set()
    assert first().status_code == 200
    assert list(doors) == []


def test_a_client_that_goes_away_gives_its_place_up(front_door: str, upstream: Upstream) -> None:
    upstream.open.clear()
    for _ in range(CONCURRENCY):
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(front_door + "/wait", timeout=httpx.Timeout(5, read=0.2))
    wait_until(lambda: state(front_door) == {"in_flight": 0, "waiting": 0})
    upstream.open.set()
    assert httpx.get(front_door + "/wait").status_code == 200


def test_an_api_that_is_silent_is_a_504(impatient_door: str, upstream: Upstream) -> None:
    upstream.open.clear()
    answer = httpx.get(impatient_door + "/wait", timeout=30)
    assert answer.status_code == 504
    assert problem(answer).status == 504
    assert "retry-after" in answer.headers


def test_an_api_that_is_down_is_a_502(tmp_path: Path) -> None:
    doors = serve(free_ports(1)[0], tmp_path)
    url = next(doors)
    for method in ("GET", "POST"):
        answer = httpx.request(
            method, url + "/v1/jobs", content=b"{}" if method == "POST" else None
        )
        assert answer.status_code == 502
        assert problem(answer).title == "Temporarily unavailable"
        assert "retry-after" in answer.headers
    assert list(doors) == []


def test_who_sends_slowly_holds_no_place_and_is_not_waited_for(
    upstream: Upstream, tmp_path: Path
) -> None:
    doors = serve(
        upstream.port, tmp_path, FRONT_DOOR_CONCURRENCY="1", FRONT_DOOR_BODY_SECONDS="1.5"
    )
    url = next(doors)
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 20) for _ in "123"]
    for each in slow:
        each.sendall(head)
    assert httpx.get(url + "/v1/quick").status_code == 200
    for each in slow:
        with each:
            assert each.recv(100).startswith(b"HTTP/1.1 408 ")
    assert upstream.most == 0
    assert list(doors) == []


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_refused_before_it_is_passed_on(
    front_door: str, told: bool
) -> None:
    whole = b"x" * (17 << 20)
    with socket.create_connection(("127.0.0.1", int(front_door.rpartition(":")[2])), 20) as client:
        length = f"Content-Length: {len(whole)}" if told else "Transfer-Encoding: chunked"
        client.sendall(f"POST /v1/x HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n".encode())
        if not told:
            with contextlib.suppress(OSError):
                client.sendall(f"{len(whole):x}\r\n".encode() + whole + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def problem(answer: httpx.Response) -> Problem:
    """Return the problem document of an answer, which names it as one."""
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate(answer.json())
    assert found.status == answer.status_code
    assert found.request_id
    return found
