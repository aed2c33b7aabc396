"""The cache in a real Valkey, and what is left of it when that goes away."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faces.cache.cache import Answer, Cache, NoCache, Question
from faces.cache.valkey import ValkeyCache, make_cache
from local_stack.settings import free_ports
from local_stack.valkey import ValkeyService


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyService]:
    folder = tmp_path_factory.mktemp("valkey")
    made = ValkeyService(free_ports(1)[0], folder / "state", folder / "log")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def cache(service: ValkeyService, request: pytest.FixtureRequest) -> Cache:
    """A cache whose keys no other test sees."""
    return ValkeyCache(service.url, f"stack-{abs(hash(request.node.name))}", 60)


def test_keeps_the_first_result(cache: Cache) -> None:
    assert cache.result("job") is None
    cache.keep_result("job", b"first")
    cache.keep_result("job", b"second")
    assert cache.result("job") == b"first"


def test_a_deletion_stays_when_a_worker_comes_late(cache: Cache) -> None:
    cache.keep_result("job", b"who it is")
    cache.replace_result("job", b"deleted")
    cache.keep_result("job", b"who it is")
    assert cache.result("job") == b"deleted"


def test_stacks_do_not_see_each_other(service: ValkeyService) -> None:
    ValkeyCache(service.url, "one", 60).keep_result("same", b"x")
    assert ValkeyCache(service.url, "two", 60).result("same") is None


def test_forgets_after_its_time(service: ValkeyService) -> None:
    cache = ValkeyCache(service.url, "short", 1)
    cache.keep_result("job", b"x")
    deadline = time.monotonic() + 5
    while cache.result("job") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_wakes_everybody_who_waits_for_a_job(cache: Cache) -> None:
    ready = threading.Barrier(3)
    woken: list[float] = []

    def wait() -> None:
        with cache.wakeup("job") as wakeup:
            assert wakeup.sure
            ready.wait(5)
            wakeup.wait(20)
            woken.append(time.monotonic())

    waiters = [threading.Thread(target=wait) for _ in range(2)]
    for waiter in waiters:
        waiter.start()
    ready.wait(5)
    cache.keep_result("another job", b"x")
    told = time.monotonic()
    cache.keep_result("job", b"x")
    for waiter in waiters:
        waiter.join(10)
    assert [moment - told < 2 for moment in woken] == [True, True]


def test_an_end_between_listening_and_waiting_is_not_missed(cache: Cache) -> None:
    with cache.wakeup("job") as wakeup:
        cache.keep_result("job", b"x")
        started = time.monotonic()
        wakeup.wait(20)
    assert time.monotonic() - started < 2


def test_waits_as_long_as_it_is_told(cache: Cache) -> None:
    with cache.wakeup("job") as wakeup:
        started = time.monotonic()
        wakeup.wait(1.5)  # longer than the cache has for an answer
    assert 1.4 < time.monotonic() - started < 4


QUESTION = Question("digest", "7:41")


def test_an_answer_counts_while_its_workers_answer(cache: Cache) -> None:
    cache.keep_answer(QUESTION, "model-1", b"{}")
    assert cache.answer("digest") is None, "nobody has said who answers"
    cache.work_as("model-1")
    assert cache.answer("digest") == Answer("7:41", b"{}")
    cache.work_as("model-2")
    assert cache.answer("digest") is None


def test_a_forgotten_answer_is_gone(cache: Cache) -> None:
    cache.work_as("model")
    cache.ask("job", QUESTION)
    cache.keep_answer(QUESTION, "model", b"{}")
    assert cache.question("job") == QUESTION
    cache.forget_answer(QUESTION.key)
    assert cache.answer("digest") is None


def test_survives_a_restart_of_the_cache(tmp_path: Path) -> None:
    service = ValkeyService(free_ports(1)[0], tmp_path / "state", tmp_path / "log")
    service.start()
    now = 0.0
    slept: list[float] = []
    cache = ValkeyCache(service.url, "stack", 60, clock=lambda: now, sleep=slept.append)
    try:
        cache.keep_result("job", b"x")
        with cache.wakeup("job") as before:
            service.stop()
            before.wait(5)
            before.wait(3)
            assert not before.sure
            assert slept == [3]
        assert cache.result("job") is None
        with cache.wakeup("job") as wakeup:
            assert not wakeup.sure
        service.start()
        assert cache.result("job") is None, "it is left alone for a while"
        now = 6.0
        cache.keep_result("job", b"y")
        assert cache.result("job") == b"y"
    finally:
        service.stop()


def test_without_an_address_there_is_no_cache() -> None:
    cache = make_cache("", "stack", 60)
    assert isinstance(cache, NoCache)
    cache.keep_result("job", b"x")
    assert cache.result("job") is None
