"""A breaker opens, probes, and closes."""

import pytest

from faces.contracts.errors import ErrorCode, PhotoError, TransientError
from gpu_worker.breaker import FAILURES, LONGEST_PAUSE_SECONDS, Breaker, State


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("S3", clock=clock)


def state(breaker: Breaker) -> State:
    return breaker.state


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(TransientError), breaker.watched():
            raise TransientError("away")


def succeed(breaker: Breaker) -> None:
    with breaker.watched():
        pass


def test_opens_after_failures_in_a_row_only(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    succeed(breaker)
    fail(breaker, FAILURES - 1)
    assert state(breaker) is State.CLOSED
    assert breaker.admit()
    fail(breaker)
    assert state(breaker) is State.OPEN
    assert not breaker.admit()
    assert breaker.due_seconds == 1


def test_lets_one_probe_through_after_each_pause(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += 1
    assert breaker.due_seconds == 0
    assert breaker.admit()
    assert state(breaker) is State.HALF_OPEN
    assert not breaker.admit()
    succeed(breaker)
    assert state(breaker) is State.CLOSED
    assert breaker.admit()
    assert breaker.admit()


def test_pauses_grow_while_probes_fail(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    pauses = []
    for _ in range(7):
        pauses.append(breaker.due_seconds)
        clock.now += breaker.due_seconds
        assert breaker.admit()
        fail(breaker)
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    clock.now += LONGEST_PAUSE_SECONDS
    assert breaker.admit()
    succeed(breaker)
    fail(breaker, FAILURES)
    assert breaker.due_seconds == 1, "a new outage begins with a short pause"


def test_failures_of_calls_from_before_change_nothing(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += 0.5
    fail(breaker, 5)
    assert breaker.due_seconds == 0.5


def test_a_probe_that_never_ends_is_forgotten(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += 1
    assert breaker.admit()
    clock.now += 1
    assert breaker.admit()


def test_an_error_of_the_photo_is_an_answer(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    with pytest.raises(PhotoError), breaker.watched():
        raise PhotoError(ErrorCode.UPLOAD_REJECTED)
    fail(breaker)
    assert state(breaker) is State.CLOSED
