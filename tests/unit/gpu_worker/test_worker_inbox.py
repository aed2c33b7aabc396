"""Batches fill from what waits, and go at once when nothing more is to come."""

import threading
import time

from gpu_worker.inbox import Inbox


def filled(*items: int, capacity: int = 100) -> Inbox[int]:
    inbox = Inbox[int](capacity, weigh=lambda item: item)
    for item in items:
        assert inbox.put(item)
    return inbox


def test_a_batch_is_what_waits_up_to_its_size() -> None:
    inbox = filled(1, 2, 3, 4)
    assert inbox.take(6) == [1, 2, 3]
    assert inbox.take(6) == [4]


def test_one_that_is_heavier_than_a_batch_goes_alone() -> None:
    inbox = filled(9, 1)
    assert inbox.take(6) == [9]
    assert inbox.take(6) == [1]


def test_a_batch_that_could_be_filled_waits() -> None:
    inbox = filled(1)
    threading.Timer(0.05, inbox.put, [5]).start()
    assert inbox.take(6, linger_seconds=30, more_to_come=lambda: True) == [1, 5]


def test_a_batch_waits_no_longer_than_its_time() -> None:
    started = time.monotonic()
    assert filled(1).take(6, linger_seconds=0.05, more_to_come=lambda: True) == [1]
    assert 0.05 <= time.monotonic() - started < 5


def test_nothing_waits_for_what_does_not_come() -> None:
    assert filled(1).take(6, linger_seconds=30, more_to_come=lambda: False) == [1]


def test_a_batch_stops_waiting_when_it_hears_that_nothing_comes() -> None:
    inbox, coming = filled(1), [True]

    def stop() -> None:
        coming.clear()
        inbox.poke()

    threading.Timer(0.05, stop).start()
    assert inbox.take(6, linger_seconds=30, more_to_come=lambda: bool(coming)) == [1]


def test_who_puts_into_a_full_inbox_waits() -> None:
    inbox, put = filled(1, capacity=1), threading.Event()

    def more() -> None:
        inbox.put(2)
        put.set()

    threading.Thread(target=more, daemon=True).start()
    assert not put.wait(0.05)
    assert inbox.take(1) == [1]
    assert put.wait(5)


def test_a_heavy_item_fills_an_inbox() -> None:
    """A photo of a hundred faces is as much as a hundred photos of one."""
    inbox, put = filled(9, 5, capacity=10), threading.Event()

    def more() -> None:
        inbox.put(1)
        put.set()

    threading.Thread(target=more, daemon=True).start()
    assert not put.wait(0.05)
    assert inbox.take(9) == [9]
    assert put.wait(5)
    assert inbox.take(9) == [5, 1]


def test_closing_ends_all_waiting_and_returns_the_rest() -> None:
    inbox, full = Inbox[int](1), filled(1, capacity=1)
    outcomes: list[object] = []
    waiting = [
        threading.Thread(target=lambda: outcomes.append(inbox.take(1))),
        threading.Thread(target=lambda: outcomes.append(full.put(2))),
    ]
    for thread in waiting:
        thread.start()
    assert inbox.close() == []
    assert full.close() == [1]
    for thread in waiting:
        thread.join(5)
    assert sorted(map(bool, outcomes)) == [False, False]


def test_who_fills_a_batch_waits_for_another_when_it_is_taken_back() -> None:
    """A stage that took nothing for the end would leave what is still to come undone."""
    inbox, batches = filled(1), list[list[int]]()
    filling = threading.Event()

    def more_to_come() -> bool:
        filling.set()
        return True

    taking = threading.Thread(target=lambda: batches.append(inbox.take(6, 1.0, more_to_come)))
    taking.start()
    assert filling.wait(5)
    assert inbox.take_back() == [1]
    taking.join(1.3)
    assert batches == []
    inbox.put(6)
    taking.join(5)
    assert batches == [[6]]
