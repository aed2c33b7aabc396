"""The two runtimes: one blocks and never suspends, the other lets others go on."""

import asyncio

import httpx
import pytest

from faces.client import AsyncClient
from faces.client.runtime import AsyncioRuntime, BlockingRuntime, Runtime, run
from tests.unit.client.fake_office import KEY, FakeOffice
from tests.unit.client.fake_service import API

JPEG = b"\xff\xd8\xff\xe0 photo"


def test_what_would_suspend_is_an_error_for_the_blocking_client() -> None:
    with pytest.raises(RuntimeError, match="did not block"):
        run(asyncio.sleep(0))


async def fail() -> None:
    raise KeyError("x")


async def double(number: int) -> int:
    return 2 * number


async def use(runtime: Runtime) -> tuple[list[int], str]:
    async with runtime.tasks(2) as tasks:
        for number in range(5):
            tasks.start(double(number))
        values = [(await tasks.next()).unwrap() for _ in range(5)]
        tasks.start(fail())
        try:
            (await tasks.next()).unwrap()
        except KeyError as error:
            return sorted(values), str(error)
    raise AssertionError("the error of a task is raised where it is asked for")


def test_tasks_end_the_same_on_both() -> None:
    expected = ([0, 2, 4, 6, 8], "'x'")
    assert run(use(BlockingRuntime())) == expected
    assert asyncio.run(use(AsyncioRuntime())) == expected


class Meeting(httpx.AsyncBaseTransport):
    """Answers nobody before `guests` requests are there at the same time."""

    def __init__(self, guests: int) -> None:
        self._guests = guests
        self._all_there = asyncio.Event()

    async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
        self._guests -= 1
        if self._guests == 0:
            self._all_there.set()
        await self._all_there.wait()
        return httpx.Response(200, json={"status": "ok"})


def test_requests_of_one_asynchronous_client_overlap() -> None:
    async def play() -> list[dict[str, object]]:
        async with AsyncClient(API, KEY, transport=Meeting(3)) as client:
            asked = asyncio.gather(*(client.health() for _ in range(3)))
            return await asyncio.wait_for(asked, 10)

    assert asyncio.run(play()) == [{"status": "ok"}] * 3


def test_a_stream_that_is_left_leaves_no_task_behind() -> None:
    office = FakeOffice()

    async def play() -> int:
        async with AsyncClient(API, KEY, transport=office.transport) as client:
            answers = client.stream([JPEG] * 50)
            async for _ in answers:
                break
            await answers.aclose()
            return len(asyncio.all_tasks()) - 1

    assert asyncio.run(play()) == 0
