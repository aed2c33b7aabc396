"""Stopping goes on to its end, whatever signals say meanwhile."""

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from local_stack.signals import deferred_signals


@pytest.fixture
def received() -> Iterator[list[int]]:
    """The signals that reached the process's own handlers."""
    seen: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_wait_for_the_end_of_the_block(received: list[int]) -> None:
    with deferred_signals():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == []
    assert received == [signal.SIGINT, signal.SIGTERM]


def test_afterwards_signals_come_at_once_again(received: list[int]) -> None:
    with deferred_signals():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGTERM]


def test_a_handler_that_raises_does_so_after_the_block(received: list[int]) -> None:
    # Python's own handler is not there where the tests run in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []
    with pytest.raises(KeyboardInterrupt), deferred_signals():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        done.append(True)
    assert (done, received) == ([True], [])


def test_an_error_of_the_block_is_raised(received: list[int]) -> None:
    with pytest.raises(ValueError, match="went wrong"), deferred_signals():
        raise ValueError("went wrong")
    os.kill(os.getpid(), signal.SIGINT)
    assert received == [signal.SIGINT]


def test_other_threads_may_use_it(received: list[int]) -> None:
    failures: list[BaseException] = []

    def use() -> None:
        try:
            with deferred_signals():
                pass
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert failures == []
    os.kill(os.getpid(), signal.SIGINT)
    assert received == [signal.SIGINT]
