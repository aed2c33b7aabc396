"""Carries out calls: with the key, again where that may help, and until something has ended."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import httpx

from faces.client import calls
from faces.client.errors import ConnectionFailed
from faces.client.polling import PollPolicy
from faces.client.retry import Failure, RetryPolicy, failure_of_status, parse_retry_after
from faces.client.runtime import Runtime

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
API_KEY_HEADER = "X-Api-Key"
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Connection:
    """A service and how to talk to it.

    Attributes
    ----------
    url : the service's address, without a slash at its end.
    api_key : sent to the service and to no other host.
    """

    url: str
    api_key: str = field(repr=False)
    runtime: Runtime
    retry: RetryPolicy
    poll: PollPolicy

    async def perform(self, call: calls.Call[T]) -> T:
        """Carry out a call, again where that may help.

        Raises
        ------
        ConnectionFailed
            No answer came, after all tries.
        ClientError
            The answer is an error; see `faces.client.errors`.
        """
        tried = 0
        while True:
            tried += 1
            outcome = await self._try(call)
            delay = None
            if outcome.failure is not None:
                delay = self.retry.delay(
                    outcome.failure,
                    tried=tried,
                    idempotent=call.idempotent,
                    retry_after=outcome.retry_after,
                    jitter=self.runtime.jitter(),
                )
            if delay is not None:
                await self.runtime.sleep(delay)
            elif outcome.response is not None:
                return call.read(outcome.response)
            else:
                raise ConnectionFailed(
                    f"{call.method} {self._address(call)}: {outcome.cause} (tries: {tried})"
                ) from outcome.cause

    async def ask_until(
        self, look: Callable[[float], Awaitable[T]], ended: Callable[[T], bool], timeout: float
    ) -> tuple[T, float]:
        """Look until the end or for `timeout` seconds; return what was seen, and when.

        Parameters
        ----------
        look : is told how many seconds are left.
        """
        clock = self.runtime.clock
        started = clock()
        asked = 0
        while True:
            seen = await look(max(0.0, timeout - (clock() - started)))
            asked += 1
            waited = clock() - started
            if ended(seen) or waited >= timeout:
                return seen, waited
            await self.runtime.sleep(min(self.poll.delay(asked), timeout - waited))

    async def _try(self, call: calls.Call[T]) -> "_Outcome":
        try:
            response = await self.runtime.send(self._request(call))
        except httpx.TransportError as error:
            failure = Failure.REFUSED if isinstance(error, _NOT_SENT) else Failure.UNCLEAR
            return _Outcome(failure, cause=error)
        return _Outcome(
            failure_of_status(response.status_code),
            response=response,
            retry_after=parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
        )

    def _request(self, call: calls.Call[T]) -> httpx.Request:
        files = None
        if call.file is not None:
            # S3 reads no field that comes after the file; httpx puts the fields first.
            files = {"file": (call.file.name or "photo", call.file.data, call.file.content_type)}
        return self.runtime.request(
            call.method,
            self._address(call),
            headers={API_KEY_HEADER: self.api_key} if call.with_key else None,
            json=call.json,
            data=call.form,
            files=files,
        )

    def _address(self, call: calls.Call[T]) -> str:
        return call.url if call.url.startswith("http") else self.url + call.url


def connect(
    url: str | None,
    api_key: str | None,
    runtime: Runtime,
    retry: RetryPolicy | None,
    poll: PollPolicy | None,
) -> Connection:
    """Return a connection; what is left out comes from the environment, or is the default."""
    return Connection(
        url=(url or os.environ.get("FACES_URL") or DEFAULT_URL).rstrip("/"),
        api_key=api_key or os.environ.get("FACES_API_KEY") or "",
        runtime=runtime,
        retry=retry or RetryPolicy(),
        poll=poll or PollPolicy(),
    )


@dataclass(frozen=True)
class _Outcome:
    """How one try ended: a response or a cause, and how it failed where it did."""

    failure: Failure | None
    response: httpx.Response | None = None
    cause: httpx.TransportError | None = None
    retry_after: float | None = None
