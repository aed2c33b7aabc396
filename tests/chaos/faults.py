"""A proxy that does to connections what networks and services do on bad days.

It stands between one part and one service on 127.0.0.1. HTTP goes through it a request a
connection, so that each request can meet a fault of its own; anything else (PostgreSQL) is
passed on byte by byte, and what comes back may be cut off.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class Fault(StrEnum):
    """What may happen to a request; the last three only to a whole connection's bytes."""

    SLOW = "slow"
    THROTTLED = "throttled"
    FAILING = "failing"
    REFUSED = "refused"
    CUT = "cut off"
    ANSWER_LOST = "answer lost"


HTTP_FAULTS = tuple(Fault)
_HEAD_LIMIT = 65_536


@dataclass
class Plan:
    """Which request meets which fault.

    Attributes
    ----------
    faults, rate : a share of the requests meets one of the faults, at random.
    slow_seconds : how late a slow one is.
    matching : only these requests, by method and target.
    """

    faults: tuple[Fault, ...] = ()
    rate: float = 0.0
    slow_seconds: float = 1.0
    matching: Callable[[str, str], bool] = lambda _method, _target: True
    seed: int = 0
    met: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def choose(self, method: str, target: str) -> Fault | None:
        """Return the fault of one request, and count it."""
        if not self.faults or not self.matching(method, target):
            return None
        if self._random.random() >= self.rate:
            return None
        fault = self._random.choice(self.faults)
        self.met[fault] += 1
        return fault

    def abruptly(self) -> bool:
        """Return whether a connection breaks; if not, it ends as if all had been said."""
        return self._random.random() < 0.5

    def cut_at(self) -> int:
        """Return after how many bytes of an answer the connection ends."""
        return self._random.choice((0, 20, 120, 200, 300, 400, 700))

    def part_of(self, length: int) -> int:
        """Return how much comes of an answer of so many bytes: less than all."""
        return self._random.randrange(length)


class Proxy:
    """Passes connections to `port` on; runs in a thread between `with` and its end.

    Parameters
    ----------
    http : whether requests are looked at one by one.
    """

    def __init__(self, port: int, *, http: bool = True) -> None:
        self.plan = Plan()
        self.requests = 0
        self.down = False
        self.delay = 0.0
        self._upstream = port
        self._http = http
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_LIMIT))
        self.port = server.sockets[0].getsockname()[1]
        self._server = server
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut_all(self) -> None:
        """End every open connection at once, in the middle of what it carries."""

        async def cut() -> None:
            for writer in list(self._writers):
                _reset(writer)

        self._call(cut())

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _close(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            _reset(writer)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.down:
                _reset(writer)
            elif self._http:
                await self._request(reader, writer)
            else:
                await self._bytes(reader, writer)
        except asyncio.CancelledError:
            return  # the proxy closes; a callback of asyncio would complain of the error
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _reset(writer)
        finally:
            self._writers.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()

    async def _bytes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
        self._writers.add(upstream)
        there = asyncio.create_task(_pump(reader, upstream, lambda: self.delay))
        back = asyncio.create_task(self._relay(other, writer))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (there, back):
                task.cancel()
            self._writers.discard(upstream)
            upstream.close()

    async def _relay(self, other: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass answers on as bytes; one that is cut off ends the connection in its middle."""
        with contextlib.suppress(OSError):
            while data := await other.read(65_536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                cut = self.plan.choose("", "") is Fault.CUT
                writer.write(data[: self.plan.part_of(len(data))] if cut else data)
                await writer.drain()
                if cut:
                    if self.plan.abruptly():
                        _reset(writer)
                    return

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        self.requests += 1
        fault = self.plan.choose(method, target)
        if fault is Fault.REFUSED:
            _reset(writer)
            return
        if fault in (Fault.THROTTLED, Fault.FAILING):
            await _refuse(reader, writer, head, throttled=fault is Fault.THROTTLED)
            return
        if fault is Fault.SLOW:
            await asyncio.sleep(self.plan.slow_seconds)
        other, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
        self._writers.add(upstream)
        upstream.write(_one_request(head))
        there = asyncio.create_task(_pump(reader, upstream))
        try:
            await self._answer(other, writer, fault)
        finally:
            there.cancel()
            self._writers.discard(upstream)
            upstream.close()

    async def _answer(
        self, other: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None
    ) -> None:
        """Relay the answer, some of it, or none though it was given."""
        left = self.plan.cut_at() if fault is Fault.CUT else None
        while data := await other.read(65_536):
            if data.startswith(b"HTTP/1.1 100 "):
                interim, _, data = data.partition(b"\r\n\r\n")
                writer.write(interim + b"\r\n\r\n")
            if fault is Fault.ANSWER_LOST:
                continue
            if left is not None:
                writer.write(data[:left])
                left -= min(left, len(data))
                if left == 0:
                    break
                continue
            writer.write(data)
            await writer.drain()
        if fault in (Fault.ANSWER_LOST, Fault.CUT):
            with contextlib.suppress(OSError):
                await writer.drain()
            # What ends in order looks whole to a client that does not count.
            if self.plan.abruptly():
                _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that its other end sees that it broke."""
    socket_ = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it has ended by itself
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    delay: Callable[[], float] = lambda: 0.0,
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            if delay():
                await asyncio.sleep(delay())
            writer.write(data)
            await writer.drain()


def _one_request(head: bytes) -> bytes:
    """Return a request's head such that the connection ends with its answer."""
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([lines[0], b"Connection: close", *lines[1:]])


def _refusal(head: bytes, *, throttled: bool) -> bytes:
    """Return what the service that a signed request is for says when it is busy or broken."""
    ec2 = b"/ec2/aws4_request" in head
    busy = "RequestLimitExceeded" if ec2 else "SlowDown"
    code = busy if throttled else "InternalError"
    error = f"<Error><Code>{code}</Code><Message>of the test</Message></Error>"
    if ec2:
        error = f"<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>"
    return error.encode()


async def _refuse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, *, throttled: bool
) -> None:
    body = _refusal(head, throttled=throttled)
    status = b"503 Slow Down" if throttled else b"500 Internal Server Error"
    writer.write(
        b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Type: application/xml\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )
    await writer.drain()
    # What the client still sends is taken, or its end of the connection would break first.
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(0.2):
            while await reader.read(65_536):
                pass
