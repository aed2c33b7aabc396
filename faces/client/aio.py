"""The client for programs with an event loop (asyncio)."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Self

import httpx

from faces.client.connection import connect
from faces.client.operations import Operations
from faces.client.polling import PollPolicy
from faces.client.retry import RetryPolicy
from faces.client.runtime import AsyncioRuntime


class AsyncClient(Operations):
    """Asks an Elastic Faces service who is in a photo; for asyncio.

    Parameters
    ----------
    url, api_key, retry, poll, request_seconds : as of `faces.client.Client`.
    transport : replaces the network, for tests.
    sleep, clock, jitter : wait, monotonic time in seconds, random numbers in [0, 1).

    Examples
    --------
    >>> from faces import AsyncClient
    >>> async with AsyncClient("http://127.0.0.1:8000", "my-key") as client:  # doctest: +SKIP
    ...     one, two = await asyncio.gather(client.identify("1.jpg"), client.identify("2.jpg"))
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        retry: RetryPolicy | None = None,
        poll: PollPolicy | None = None,
        request_seconds: float = 30.0,
    ) -> None:
        runtime = AsyncioRuntime(transport, sleep, clock, jitter, request_seconds)
        super().__init__(connect(url, api_key, runtime, retry, poll))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()
