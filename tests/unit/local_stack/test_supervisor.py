"""The supervisor: order of start and stop, deaths and restarts."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from local_stack.progress import Event
from local_stack.service import LocalStackError
from local_stack.supervisor import Part, PartState, Supervisor, restart_delay


@dataclass
class FakeService:
    """A service in memory that notes in `journal` what is asked of it."""

    name: str
    journal: list[str] = field(default_factory=list)
    at_start: Callable[[], None] = lambda: None
    running: bool = False

    def start(self) -> None:
        self.journal.append(f"start {self.name}")
        self.at_start()
        self.running = True

    def alive(self) -> bool:
        return self.running

    def stop(self) -> None:
        if self.running:
            self.journal.append(f"stop {self.name}")
        self.running = False


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refuse() -> None:
    raise LocalStackError("it does not start")


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def supervisor(events: list[Event], clock: Clock) -> Supervisor:
    return Supervisor(events.append, clock=clock)


def test_parts_stop_in_reverse_order_and_once(supervisor: Supervisor) -> None:
    journal: list[str] = []
    for name in ("one", "two", "three"):
        supervisor.start(Part(FakeService(name, journal)))
    supervisor.stop()
    supervisor.stop()
    assert journal == [
        "start one",
        "start two",
        "start three",
        "stop three",
        "stop two",
        "stop one",
    ]


def test_each_start_is_told(supervisor: Supervisor, events: list[Event]) -> None:
    supervisor.start(Part(FakeService("one")))
    with pytest.raises(LocalStackError):
        supervisor.start(Part(FakeService("two", at_start=refuse)))
    told = [(event.step, event.state) for event in events]
    assert told == [("one", "started"), ("one", "done"), ("two", "started"), ("two", "failed")]
    assert events[-1].detail == "it does not start"


def test_a_failure_among_parallel_starts_stops_the_others_without_waiting(
    supervisor: Supervisor,
) -> None:
    """The slow part only ends its start because it is stopped."""
    stopped = threading.Event()
    slow = FakeService("slow", at_start=lambda: assert_true(stopped.wait(30)), running=True)
    slow.stop = stopped.set  # type: ignore[method-assign]
    under_way = threading.Event()

    def start_slow() -> None:
        under_way.set()
        supervisor.start(Part(slow))

    def fail() -> None:
        under_way.wait(30)
        refuse()

    with pytest.raises(LocalStackError, match="does not start"):
        supervisor.together(start_slow, fail)
    assert stopped.is_set()


def test_a_start_that_is_cut_short_by_a_stop_is_no_failure_of_its_own(
    supervisor: Supervisor, events: list[Event]
) -> None:
    def cut_short() -> None:
        supervisor.stop()
        refuse()

    with pytest.raises(LocalStackError):
        supervisor.start(Part(FakeService("one", at_start=cut_short)))
    assert events[-1].state == "stopped"


def assert_true(value: bool) -> None:
    assert value


def test_nothing_starts_once_it_is_stopping(supervisor: Supervisor) -> None:
    supervisor.stop()
    late = FakeService("late")
    with pytest.raises(LocalStackError, match="being stopped"):
        supervisor.start(Part(late))
    assert not late.running


def test_a_stop_that_fails_does_not_keep_the_others_running(supervisor: Supervisor) -> None:
    first, second = FakeService("first"), FakeService("second")
    supervisor.start(Part(first))
    supervisor.start(Part(second))
    second.stop = refuse  # type: ignore[method-assign]
    supervisor.stop()
    assert not first.running


def test_a_part_with_its_state_on_disk_is_started_again_after_a_delay(
    supervisor: Supervisor, clock: Clock
) -> None:
    service = FakeService("database")
    part = Part(service)
    supervisor.start(part)
    service.running = False
    supervisor.check()
    assert (part.state, service.running) == (PartState.RESTARTING, False)
    clock.now += restart_delay(0)
    supervisor.check()
    assert (part.state, service.running, part.restarts) == (PartState.RUNNING, True, 1)


def test_parts_that_depend_on_each_other_are_revived_once_together(
    supervisor: Supervisor, clock: Clock
) -> None:
    """Both are dead, and the revival of one starts both."""
    services = [FakeService("AWS emulator"), FakeService("EC2 emulator")]
    revivals: list[float] = []

    def revive() -> None:
        revivals.append(clock.now)
        for service in services:
            service.start()

    parts = [Part(service, revive=revive) for service in services]
    for part in parts:
        supervisor.start(part)
        part.service.running = False  # type: ignore[attr-defined]
    for _ in range(3):
        supervisor.check()
        clock.now += 100
    assert len(revivals) == 1
    assert [part.state for part in parts] == [PartState.RUNNING] * 2
    assert [part.restarts for part in parts] == [1, 0]


def test_a_restart_that_fails_is_tried_again_later_and_later(
    supervisor: Supervisor, clock: Clock
) -> None:
    service = FakeService("cache")
    part = Part(service)
    supervisor.start(part)
    service.running = False
    service.at_start = refuse
    tries = []
    for _ in range(200):
        before = len(service.journal)
        supervisor.check()
        if len(service.journal) > before:
            tries.append(clock.now)
        clock.now += 0.5
    waits = [after - before for before, after in pairwise(tries)]
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) <= 30
    service.at_start = lambda: None
    clock.now += 30
    supervisor.check()
    assert part.state is PartState.RUNNING


def test_the_watcher_restarts_and_ends_with_the_supervisor() -> None:
    again = threading.Event()
    service = FakeService("cache")
    before = set(threading.enumerate())
    supervisor = Supervisor(lambda _: None, watch_seconds=0.01)
    supervisor.start(Part(service))
    supervisor.watch()
    service.at_start = again.set
    service.running = False
    assert again.wait(10)
    supervisor.stop()
    assert not service.running
    assert set(threading.enumerate()) <= before


def test_chores_are_done_again_though_they_fail() -> None:
    turns = threading.Semaphore(0)

    def chore() -> None:
        turns.release()
        raise OSError("not now")

    supervisor = Supervisor(lambda _: None, watch_seconds=0.01)
    supervisor.watch(chore)
    for _ in range(3):
        assert turns.acquire(timeout=10)
    supervisor.stop()
