"""Ticks: what is remembered between them, and when they stop."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.executor import Outcome
from scaler.thin import Backlog, DecideConfig, Decision, Reason, Worker, WorkerState
from scaler.tick import LAST_START_SECONDS, Controller, Memory, run

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EMPTY = Backlog(0, 0)


@dataclass
class World:
    """A queue, a fleet that EC2 shows late, and a clock."""

    backlog: Backlog | None = EMPTY
    now: datetime = START
    shown: tuple[Worker, ...] | None = ()
    hidden: list[Worker] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def carry_out(self, decision: Decision, workers: Sequence[Worker], now: datetime) -> Outcome:
        self.decisions.append(decision)
        made = tuple(
            Worker(f"i-{len(self.hidden) + n}", "", WorkerState.PENDING, now)
            for n in range(decision.launch)
        )
        self.hidden += made
        return Outcome(launched=made, terminated=decision.terminate)

    def show(self) -> None:
        self.shown = tuple(self.hidden)

    def controller(self) -> Controller:
        return Controller(
            config=DecideConfig(
                min_instances=0,
                max_instances=15,
                messages_per_instance=5,
                min_runtime=timedelta(seconds=300),
                launch_batch=5,
                quiet_time=timedelta(seconds=15),
            ),
            read_backlog=lambda: self.backlog,
            read_workers=lambda: self.shown,
            executor=self,
            memory=Memory(),
            clock=lambda: self.now,
            tick_seconds=5,
        )

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_launches_that_ec2_does_not_show_yet_are_not_repeated() -> None:
    world = World(backlog=Backlog(25, 0))
    controller = world.controller()
    assert controller.tick().decision.launch == 5
    for _ in range(10):
        world.move(5)
        assert controller.tick().decision.launch == 0
    world.show()
    world.move(30)
    record = controller.tick()
    assert record.decision.launch == 0
    assert record.observation.workers == tuple(world.hidden)


def test_a_launch_that_never_shows_is_made_again_after_a_minute() -> None:
    world = World(backlog=Backlog(5, 0))
    controller = world.controller()
    controller.tick()
    world.move(59)
    assert controller.tick().decision.launch == 0
    world.move(1)
    assert controller.tick().decision.launch == 1


def test_an_unreadable_fleet_forgets_no_launch() -> None:
    world = World(backlog=Backlog(5, 0))
    controller = world.controller()
    controller.tick()
    world.shown = None
    world.move(5)
    assert controller.tick().decision.reasons == (Reason.FLEET_UNREADABLE,)
    world.shown = ()
    assert controller.tick().decision.launch == 0


def test_quiet_is_counted_from_the_first_empty_reading() -> None:
    world = World(shown=(Worker("i-1", "", WorkerState.RUNNING, START - timedelta(hours=1)),))
    controller = world.controller()
    ended = []
    for _ in range(4):
        ended.append(controller.tick().decision.terminate)
        world.move(5)
    assert ended == [(), (), (), ("i-1",)]


@pytest.mark.parametrize("between", [Backlog(1, 0), Backlog(0, 1), None])
def test_work_or_an_unreadable_queue_starts_the_count_again(between: Backlog | None) -> None:
    world = World(shown=(Worker("i-1", "", WorkerState.RUNNING, START - timedelta(hours=1)),))
    controller = world.controller()
    controller.tick()
    world.move(10)
    world.backlog = between
    controller.tick()
    world.backlog = Backlog(0, 0)
    world.move(10)
    assert controller.tick().decision.reasons == (Reason.NOT_YET_QUIET,)
    world.move(15)
    assert controller.tick().decision.terminate == ("i-1",)


@dataclass
class Seconds:
    """A monotonic clock; sleeping, ticking and even reading it take time."""

    now: float = 1000.0
    reading: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        self.now += self.reading
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_minute_of_ticks_keeps_its_beat() -> None:
    clock = Seconds()
    starts: list[float] = []

    def tick() -> None:
        starts.append(clock.now - 1000)
        clock.now += 1.5

    done = run(tick, ticks=None, tick_seconds=5, monotonic=clock, sleep=clock.sleep)
    assert done == 11
    assert starts == [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert clock.now - 1000 < 55


def test_a_single_tick_neither_sleeps_nor_repeats() -> None:
    clock = Seconds()
    assert run(lambda: None, ticks=1, tick_seconds=5, monotonic=clock, sleep=clock.sleep) == 1
    assert clock.slept == []


@given(
    st.floats(0.1, 60),
    st.lists(st.floats(0, 30), min_size=1, max_size=600),
    st.none() | st.integers(1, 20),
    st.sampled_from([0.0, 0.001, 0.5]),
)
def test_no_tick_starts_late_and_no_sleep_is_negative(
    tick_seconds: float, lengths: list[float], ticks: int | None, reading: float
) -> None:
    clock = Seconds(reading=reading)
    starts: list[float] = []

    def tick() -> None:
        starts.append(clock.now - 1000)
        clock.now += lengths[len(starts) % len(lengths)]

    done = run(tick, ticks=ticks, tick_seconds=tick_seconds, monotonic=clock, sleep=clock.sleep)
    assert done == len(starts) >= 1
    assert ticks is None or done <= ticks
    assert max(starts) <= LAST_START_SECONDS + reading + 1e-6
    assert all(seconds >= 0 for seconds in clock.slept)
