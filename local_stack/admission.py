"""How many requests the front door lets in at once.

A request in flight holds one emulated Lambda process, and a new process costs half a second
of a core. So only a few may be new at a time: sixteen that start together, on a computer
that works at something else too, would all answer too late.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

COLD = 2
"""Processes that may start at the same time."""
COLD_SECONDS = 3.0
"""Who is inside for so long waits for something else than the start of its process."""
WINDOW_SECONDS = 140.0
"""The emulator ends a process that was idle for 300 s; two windows are shorter."""


class QueueFull(Exception):
    """More requests wait than may, or one waited for too long."""


@dataclass
class Admission:
    """Lets requests in, in the order of their arrival, as many as there are warm processes.

    The API starts a process whenever more requests are inside than ever before. Each that
    is answered, or stays, shows that its process has started, and makes room for one more,
    up to `limit`. Processes that were not needed for two windows are taken for gone.

    Attributes
    ----------
    limit : requests inside at once, at most.
    queue, queue_seconds : how many may wait for a place, and how long.
    in_flight : how many are inside.
    warm : how many have been inside at once, each with a process that had started.
    """

    limit: int
    queue: int
    queue_seconds: float
    cold_seconds: float = COLD_SECONDS
    clock: Callable[[], float] = time.monotonic
    in_flight: int = 0
    warm: int = 0
    _turns: deque[asyncio.Future[int]] = field(default_factory=deque)
    _window: float = 0.0
    _most: tuple[int, int] = (0, 0)  # inside at once, in the window before and in this one

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._turns)

    @property
    def places(self) -> int:
        """How many may be inside by now."""
        return min(self.limit, self.warm + COLD)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[Callable[[], None]]:
        """Wait for a place and hold it; hand out what is to be called at the answer.

        Raises
        ------
        QueueFull
            When the queue is full or the wait takes longer than `queue_seconds`.
        """
        rank = await self._enter()
        proof = _Once(lambda: self._prove(rank))
        timer = asyncio.get_running_loop().call_later(self.cold_seconds, proof)
        try:
            yield proof
        finally:
            timer.cancel()
            self._leave()

    async def _enter(self) -> int:
        """Return how many are inside, this one included."""
        if self.in_flight >= self.places and len(self._turns) >= self.queue:
            raise QueueFull
        self._age()
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        self._let_in()
        try:
            async with asyncio.timeout(self.queue_seconds):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place came at the same moment
            elif turn in self._turns:
                self._turns.remove(turn)
            if isinstance(error, TimeoutError):
                raise QueueFull from None
            raise

    def _leave(self) -> None:
        self.in_flight -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._turns and self.in_flight < self.places:
            turn = self._turns.popleft()
            if not turn.done():
                self.in_flight += 1
                self._most = (self._most[0], max(self._most[1], self.in_flight))
                turn.set_result(self.in_flight)

    def _age(self) -> None:
        windows, now = int((self.clock() - self._window) // WINDOW_SECONDS), self.clock()
        if windows < 1:
            return
        before = self._most[1] if windows == 1 else self.in_flight
        self.warm = min(self.warm, max(self._most[0] if windows == 1 else 0, before))
        self._window, self._most = now, (before, self.in_flight)

    def _prove(self, rank: int) -> None:
        # By one: of those that came before it, one may still be starting.
        if rank > self.warm:
            self.warm += 1
            self._let_in()


class _Once:
    """Calls something the first time that it is called itself."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def __call__(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()
