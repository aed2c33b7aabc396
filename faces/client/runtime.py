"""What the client needs of the world: sending, waiting, and doing several things at once.

The client's logic is written once, as coroutines. With `AsyncioRuntime` they run on the
caller's event loop. With `BlockingRuntime` nothing that they await ever suspends: each step
blocks instead, so that `run` brings a coroutine to its end in one go, without a loop.
"""

import asyncio
import queue
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import httpx

T = TypeVar("T")

# A proxy of the environment cannot reach this computer's own stack.
_LOCAL = ("all://127.0.0.1", "all://localhost")


@dataclass(frozen=True)
class Done(Generic[T]):
    """How a task ended: with a value, or with an error."""

    value: T | None = None
    error: Exception | None = None

    def unwrap(self) -> T:
        """Return the value or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Tasks(Protocol):
    """Coroutines that run at the same time; left behind, those that run are ended."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_error: object) -> None: ...

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Begin one more."""

    async def next(self) -> Done[Any]:
        """Wait for the next that ends, and return how it did."""


class Runtime(Protocol):
    """The world, blocking or not."""

    @property
    def clock(self) -> Callable[[], float]:
        """Returns monotonic time in seconds."""

    @property
    def jitter(self) -> Callable[[], float]:
        """Returns a random number in [0, 1)."""

    @property
    def request(self) -> Callable[..., httpx.Request]:
        """Makes a request that `send` sends (`httpx.Client.build_request`)."""

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its answer whole."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def read(self, reading: Callable[[], T]) -> T:
        """Return what a function returns that reads files."""

    def tasks(self, most: int) -> Tasks:
        """Return a place for at most `most` tasks at the same time."""

    async def close(self) -> None:
        """Close the connections."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Bring a coroutine of the blocking runtime to its end."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise RuntimeError("something that was awaited did not block")


class BlockingRuntime:
    """Blocks the thread that it is called from."""

    def __init__(
        self,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        request_seconds: float = 30.0,
    ) -> None:
        self.clock: Callable[[], float] = clock
        self.jitter: Callable[[], float] = jitter
        self._sleep = sleep
        self._http = httpx.Client(
            transport=transport,
            timeout=request_seconds,
            mounts=None if transport else dict.fromkeys(_LOCAL),
        )
        self.request: Callable[..., httpx.Request] = self._http.build_request

    async def send(self, request: httpx.Request) -> httpx.Response:
        return self._http.send(request)

    async def sleep(self, seconds: float) -> None:
        self._sleep(seconds)

    async def read(self, reading: Callable[[], T]) -> T:
        return reading()

    def tasks(self, most: int) -> Tasks:
        return _Threads(most)

    async def close(self) -> None:
        self._http.close()


class _Threads:
    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most)
        self._ended: queue.SimpleQueue[Done[Any]] = queue.SimpleQueue()
        self._not_begun: set[Coroutine[Any, Any, Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        # A thread cannot be ended: what runs ends by itself, what waits is not begun.
        self._pool.shutdown(wait=error[0] is None, cancel_futures=True)
        for coroutine in list(self._not_begun):
            coroutine.close()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._not_begun.add(coroutine)

        def work() -> None:
            self._not_begun.discard(coroutine)
            try:
                self._ended.put(Done(run(coroutine)))
            except Exception as error:  # noqa: BLE001 - raised where it is asked for
                self._ended.put(Done(error=error))

        self._pool.submit(work)

    async def next(self) -> Done[Any]:
        return self._ended.get()


class AsyncioRuntime:
    """Lets the event loop go on while it waits."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        request_seconds: float = 30.0,
    ) -> None:
        self.clock: Callable[[], float] = clock
        self.jitter: Callable[[], float] = jitter
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=request_seconds,
            mounts=None if transport else dict.fromkeys(_LOCAL),
        )
        self.request: Callable[..., httpx.Request] = self._http.build_request

    async def send(self, request: httpx.Request) -> httpx.Response:
        return await self._http.send(request)

    async def sleep(self, seconds: float) -> None:
        await self._sleep(seconds)

    async def read(self, reading: Callable[[], T]) -> T:
        return await asyncio.to_thread(reading)

    def tasks(self, most: int) -> Tasks:
        return _LoopTasks(most)

    async def close(self) -> None:
        await self._http.aclose()


class _LoopTasks:
    def __init__(self, most: int) -> None:
        self._room = asyncio.Semaphore(most)
        self._running: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Queue[Done[Any]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        async def work() -> None:
            async with self._room:
                try:
                    self._ended.put_nowait(Done(await coroutine))
                except Exception as error:  # noqa: BLE001 - raised where it is asked for
                    self._ended.put_nowait(Done(error=error))

        def ended(task: asyncio.Task[None]) -> None:
            coroutine.close()  # one that was cancelled before it began
            self._running.discard(task)

        task = asyncio.create_task(work())
        self._running.add(task)
        task.add_done_callback(ended)

    async def next(self) -> Done[Any]:
        return await self._ended.get()
