"""Messages in hand stay hidden; a worker that hangs is noticed."""

import threading
import time

import pytest

from gpu_worker.heartbeat import Heartbeat
from gpu_worker.queue import Received
from tests.fixtures.worker_fakes import FakeQueue


def message(receipt: str) -> Received:
    return Received(f"m-{receipt}", receipt, "", 1)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_extends_what_is_held_until_it_is_dropped() -> None:
    queue = FakeQueue()
    heartbeat = Heartbeat(queue, 60, 900, on_stuck=lambda: None)
    heartbeat.beat()
    heartbeat.hold([message("a"), message("b")])
    heartbeat.beat()
    heartbeat.drop([message("a")])
    heartbeat.beat()
    heartbeat.drop([message("b")])
    heartbeat.beat()
    assert queue.extended == [["a", "b"], ["b"]]


def test_a_lost_message_is_not_extended_again() -> None:
    queue = FakeQueue(lost={"a"})
    heartbeat = Heartbeat(queue, 60, 900, on_stuck=lambda: None)
    heartbeat.hold([message("a"), message("b")])
    heartbeat.beat()
    heartbeat.beat()
    assert queue.extended == [["a", "b"], ["b"]]


def test_a_message_is_given_up_after_a_while() -> None:
    queue, clock = FakeQueue(), Clock()
    heartbeat = Heartbeat(queue, 60, 100, on_stuck=lambda: None, clock=clock)
    heartbeat.hold([message("a")])
    clock.now = 50
    heartbeat.hold([message("b")])
    clock.now = 99
    heartbeat.beat()
    assert heartbeat.holds(message("a"))
    clock.now = 100
    heartbeat.beat()
    assert not heartbeat.holds(message("a"))
    assert heartbeat.holds(message("b"))
    assert queue.extended == [["a", "b"], ["b"]]


def test_survives_an_outage() -> None:
    queue = FakeQueue(away=True)
    heartbeat = Heartbeat(queue, 60, 900, on_stuck=lambda: None)
    heartbeat.hold([message("a")])
    heartbeat.beat()
    queue.away = False
    heartbeat.beat()
    assert queue.extended == [["a"]]


def test_a_worker_without_progress_is_reported_and_its_messages_let_go() -> None:
    queue, clock, stuck = FakeQueue(), Clock(), list[float]()
    heartbeat = Heartbeat(
        queue, 60, 9000, on_stuck=lambda: stuck.append(clock.now), stuck_seconds=300, clock=clock
    )
    heartbeat.hold([message("a"), message("b")])
    clock.now = 300
    heartbeat.beat()
    heartbeat.drop([message("a")])  # progress
    clock.now = 600
    heartbeat.beat()
    assert (stuck, len(queue.extended)) == ([], 2)
    clock.now = 601
    heartbeat.beat()
    assert (stuck, len(queue.extended)) == ([601], 2)


def test_an_idle_worker_never_counts_as_stuck() -> None:
    clock, stuck = Clock(), list[int]()
    heartbeat = Heartbeat(
        FakeQueue(), 60, 900, on_stuck=lambda: stuck.append(1), stuck_seconds=300, clock=clock
    )
    clock.now = 10_000
    heartbeat.beat()
    heartbeat.hold([message("a")])
    heartbeat.beat()
    assert stuck == []


def test_beats_in_a_thread_and_ends_with_the_block() -> None:
    beaten = threading.Event()

    class Queue(FakeQueue):
        def extend(self, messages: object) -> list[Received]:
            beaten.set()
            return []

    heartbeat = Heartbeat(Queue(), visibility_seconds=0, hold_seconds=900, on_stuck=lambda: None)
    before = set(threading.enumerate())
    with heartbeat.running():
        heartbeat.hold([message("a")])
        assert beaten.wait(10)
    assert not {each for each in threading.enumerate() if each.is_alive()} - before


def test_an_extension_that_hangs_does_not_keep_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, hanging, answered = FakeQueue(), threading.Event(), threading.Event()

    def hang(_: object) -> list[Received]:
        hanging.set()
        answered.wait(20)
        return []

    monkeypatch.setattr(queue, "extend", hang)
    heartbeat = Heartbeat(queue, 0, 900, on_stuck=lambda: None)
    heartbeat.hold([message("a")])
    with heartbeat.running():
        assert hanging.wait(5)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    answered.set()
