"""Who comes in at the front door, and when; time passes only where a test lets it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from local_stack.admission import COLD, WINDOW_SECONDS, Admission, QueueFull


class Guest:
    """One request: waits, is inside, is answered, leaves."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._stack = AsyncExitStack()
        self.answered: Callable[[], None] | None = None

    async def enter(self) -> "Guest":
        self.answered = await self._stack.enter_async_context(self._admission.admitted())
        return self

    async def leave(self, *, answered: bool = True) -> None:
        assert self.answered is not None
        if answered:
            self.answered()
        await self._stack.aclose()


class House:
    """An admission with its guests."""

    def __init__(self, **options: float) -> None:
        wanted = {"limit": 16, "queue": 100, "queue_seconds": 60, "cold_seconds": 60, **options}
        self.now = 1000.0
        self.admission = Admission(**wanted, clock=lambda: self.now)  # type: ignore[arg-type]
        self.tasks: list[asyncio.Task[Guest]] = []

    async def come(self, count: int = 1) -> None:
        self.tasks += [asyncio.create_task(Guest(self.admission).enter()) for _ in range(count)]
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def inside(self) -> list[Guest]:
        return [task.result() for task in self.tasks if task.done() and not task.exception()]

    async def go(self, guest: Guest, *, answered: bool = True) -> None:
        self.tasks = [task for task in self.tasks if not task.done() or task.result() is not guest]
        await guest.leave(answered=answered)
        await self.settle()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def played(play: Callable[[House], Awaitable[None]], **options: float) -> None:
    async def run() -> None:
        house = House(**options)
        try:
            await play(house)
        finally:
            await house.close()

    asyncio.run(run())


def test_a_cold_api_gets_two_requests_and_one_more_for_each_answer() -> None:
    async def play(house: House) -> None:
        await house.come(50)
        sizes = [len(house.inside())]
        while len(house.inside()) < house.admission.limit:
            await house.go(house.inside()[-1])
            sizes.append(len(house.inside()))
        assert sizes == list(range(COLD, 17))
        for _ in range(20):
            await house.go(house.inside()[0])
            assert len(house.inside()) == house.admission.limit == house.admission.in_flight

    played(play)


def test_an_answer_of_a_process_that_was_warm_makes_no_room() -> None:
    async def play(house: House) -> None:
        await house.come()
        await house.go(house.inside()[0])
        assert house.admission.warm == 1
        for _ in range(5):  # one after the other, they need one process
            await house.come()
            await house.go(house.inside()[0])
        assert house.admission.places == 1 + COLD

    played(play)


def test_who_leaves_without_an_answer_shows_nothing() -> None:
    async def play(house: House) -> None:
        await house.come(5)
        await house.go(house.inside()[0], answered=False)
        assert (house.admission.warm, len(house.inside())) == (0, COLD)

    played(play)


def test_who_stays_has_a_process() -> None:
    async def play(house: House) -> None:
        await house.come(5)
        async with asyncio.timeout(10):
            while len(house.inside()) < 5:
                await asyncio.sleep(0.001)
        assert house.admission.warm >= 3

    played(play, cold_seconds=0.005)


def test_the_order_of_arrival_is_kept_and_the_queue_ends() -> None:
    async def play(house: House) -> None:
        await house.come(COLD + 3)
        with pytest.raises(QueueFull):
            await Guest(house.admission).enter()
        waiting = house.tasks[COLD:]
        for task in waiting:
            await house.go(house.inside()[0], answered=False)
            assert task.done()

    played(play, queue=3)


def test_who_waited_too_long_or_went_away_takes_no_place() -> None:
    async def play(house: House) -> None:
        await house.come(COLD)
        with pytest.raises(QueueFull):
            await Guest(house.admission).enter()
        await house.come()
        house.tasks.pop().cancel()
        await house.settle()
        assert house.admission.waiting == 0
        for guest in house.inside():
            await house.go(guest, answered=False)
        assert house.admission.in_flight == 0

    played(play, queue_seconds=0.01)


def test_a_place_that_comes_to_one_who_just_went_away_is_not_lost() -> None:
    async def play(house: House) -> None:
        await house.come(COLD + 1)
        gone = house.tasks.pop()
        guest = house.inside()[0]
        house.tasks.remove(next(task for task in house.tasks if task.result() is guest))
        await guest.leave(answered=False)  # the place is handed over here ...
        gone.cancel()  # ... and not wanted any more
        await house.settle()
        assert house.admission.in_flight == COLD - 1

    played(play)


def test_processes_that_nobody_needed_for_long_are_taken_for_gone() -> None:
    async def grow(house: House) -> None:
        await house.come(8)
        while house.inside():
            await house.go(house.inside()[-1])

    async def play(house: House) -> None:
        await grow(house)
        warm = house.admission.warm
        assert warm >= 5
        for _ in range(2):  # this window, and the one before, had them all
            house.now += WINDOW_SECONDS
            await house.come()
            await house.go(house.inside()[0])
            assert house.admission.warm == warm
        house.now += WINDOW_SECONDS  # the last two had one
        await house.come()
        assert house.admission.warm == 1
        await house.go(house.inside()[0])
        await grow(house)
        house.now += 10 * WINDOW_SECONDS
        await house.come()
        assert house.admission.warm == 0

    played(play)
