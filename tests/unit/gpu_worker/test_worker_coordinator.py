"""Tasks go from stage to stage, and none pays for another."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from faces.contracts.errors import ErrorCode, PhotoError, TransientError
from faces.contracts.ids import new_id
from faces.contracts.jobs import JobMessage
from faces.contracts.names import upload_key
from gpu_worker.breaker import Breaker
from gpu_worker.coordinator import BROKEN_AFTER, Coordinator
from gpu_worker.protocol import Stage, Task
from gpu_worker.queue import Received

SECONDS = 20.0


def task(name: str = "", receive_count: int = 1) -> Task:
    job_id = new_id()
    message = Received(name or job_id, name or job_id, "", receive_count)
    return Task(message, JobMessage(job_id=job_id, key=upload_key(job_id), size=1))


@dataclass
class Custody:
    """Remembers what ended."""

    all_ours: bool = True
    done: list[Task] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    tries: int = 0

    def ours(self, task: Task) -> bool:
        return self.all_ours

    def progress(self) -> None:
        self.tries += 1

    def ended(self, task: Task) -> None:
        with self.changed:
            self.done.append(task)
            self.changed.notify_all()

    def wait(self, count: int) -> list[Task]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.done) >= count, SECONDS)
            return list(self.done)


@dataclass
class Meter:
    """Remembers what ran."""

    runs: list[tuple[str, int]] = field(default_factory=list)

    def stage(self, name: str, seconds: float, tasks: int) -> None:
        self.runs.append((name, tasks))


@dataclass
class Bench:
    """A coordinator that is closed at the end of the test."""

    custody: Custody = field(default_factory=Custody)
    meter: Meter = field(default_factory=Meter)
    made: list[Coordinator] = field(default_factory=list)

    def start(self, *stages: Stage) -> Coordinator:
        self.made.append(Coordinator(stages, self.custody, self.meter))
        self.made[-1].start()
        return self.made[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for coordinator in bench.made:
        coordinator.close(SECONDS)


def nothing(tasks: Sequence[Task]) -> None:
    pass


def held(gate: threading.Event) -> Callable[[Sequence[Task]], None]:
    """A step that waits until the gate opens."""

    def step(tasks: Sequence[Task]) -> None:
        assert gate.wait(SECONDS)

    return step


def test_a_task_goes_through_the_stages_that_want_it(bench: Bench) -> None:
    seen: list[str] = []
    stages = [
        Stage("a", lambda _: seen.append("a"), timed_as="a"),
        Stage("b", lambda _: seen.append("b"), wants=lambda task: False),
        Stage("c", lambda _: seen.append("c"), timed_as="c"),
    ]
    coordinator = bench.start(*stages)
    coordinator.submit(task())
    [done] = bench.custody.wait(1)
    assert seen == ["a", "c"]
    assert set(done.timings.milliseconds()) == {"a", "c"}
    assert bench.meter.runs == [("a", 1), ("c", 1)]


def test_stages_work_at_the_same_time(bench: Bench) -> None:
    """The first stage is done with a second task while the last still has the first."""
    second_came, gate = threading.Event(), threading.Event()
    count = [0]

    def first(_: Sequence[Task]) -> None:
        count[0] += 1
        if count[0] == 2:
            second_came.set()

    coordinator = bench.start(Stage("first", first), Stage("last", held(gate)))
    coordinator.submit(task())
    coordinator.submit(task())
    assert second_came.wait(SECONDS)
    assert bench.custody.done == []
    gate.set()
    bench.custody.wait(2)


def test_a_batch_fills_while_the_stage_is_busy(bench: Bench) -> None:
    gate, sizes = threading.Event(), list[int]()

    def step(tasks: Sequence[Task]) -> None:
        sizes.append(len(tasks))
        assert gate.wait(SECONDS)

    coordinator = bench.start(Stage("embed", step, batch=4, capacity=20))
    coordinator.submit(task())
    while not sizes:
        pass
    for _ in range(6):
        coordinator.submit(task())
    gate.set()
    bench.custody.wait(7)
    assert sizes == [1, 4, 2]


def test_a_photo_that_is_alone_never_waits_for_others(bench: Bench) -> None:
    coordinator = bench.start(
        Stage("detect", nothing), Stage("embed", nothing, batch=32, linger_seconds=SECONDS)
    )
    started = time.monotonic()
    coordinator.submit(task())
    bench.custody.wait(1)
    assert time.monotonic() - started < SECONDS / 4


def test_a_full_stage_holds_back_who_submits(bench: Bench) -> None:
    gate, submitted = threading.Event(), list[int]()
    coordinator = bench.start(Stage("slow", held(gate), capacity=1))

    def submit() -> None:
        for number in range(5):
            coordinator.submit(task())
            submitted.append(number)

    thread = threading.Thread(target=submit)
    thread.start()
    thread.join(0.1)
    assert len(submitted) <= 2, "one is worked on, one waits"
    gate.set()
    thread.join(SECONDS)
    assert len(bench.custody.wait(5)) == 5


def test_an_error_ends_its_job_and_skips_the_work(bench: Bench) -> None:
    def refuse(_: Sequence[Task]) -> None:
        raise PhotoError(ErrorCode.CORRUPT_IMAGE)

    told: list[Task] = []
    coordinator = bench.start(
        Stage("decode", refuse),
        Stage("detect", lambda _: pytest.fail("detected"), wants=lambda task: not task.settled),
        Stage("store", lambda tasks: told.extend(tasks)),
    )
    coordinator.submit(task())
    [done] = bench.custody.wait(1)
    assert told == [done]
    assert done.error is not None
    assert done.error.code is ErrorCode.CORRUPT_IMAGE


def test_in_a_batch_only_the_one_at_fault_pays(bench: Bench) -> None:
    gate = threading.Event()

    def step(tasks: Sequence[Task]) -> None:
        assert gate.wait(SECONDS)
        for each in tasks:
            if each.message.receipt == "defect":
                raise IndexError("a library broke")
            if each.message.receipt == "bad":
                raise PhotoError(ErrorCode.NO_FACE)

    coordinator = bench.start(Stage("embed", step, batch=10, capacity=10))
    for name in ("first", "good1", "defect", "bad", "good2"):
        coordinator.submit(task(name))
    gate.set()
    by_name = {each.message.receipt: each for each in bench.custody.wait(5)}
    assert by_name["defect"].retry_seconds == 10
    error = by_name["bad"].error
    assert error is not None
    assert error.code is ErrorCode.NO_FACE
    for name in ("first", "good1", "good2"):
        assert by_name[name].error is None
        assert by_name[name].retry_seconds is None


def test_while_a_dependency_is_away_its_tasks_wait_in_hand(bench: Bench) -> None:
    away, tries = [True], list[int]()

    def step(tasks: Sequence[Task]) -> None:
        tries.append(len(tasks))
        if len(tries) == 2:
            away.clear()
        if away:
            raise TransientError("away")

    coordinator = bench.start(Stage("match", step, needs=Breaker("database")))
    coordinator.submit(task())
    [done] = bench.custody.wait(1)
    assert tries == [1, 1]
    assert done.retry_seconds is None


def test_what_may_no_longer_be_held_goes_back(bench: Bench) -> None:
    def away(_: Sequence[Task]) -> None:
        bench.custody.all_ours = False
        raise TransientError("away")

    coordinator = bench.start(Stage("match", away, needs=Breaker("database")))
    coordinator.submit(task(receive_count=3))
    [done] = bench.custody.wait(1)
    assert done.retry_seconds == 40


def test_in_a_hurry_nothing_waits_for_what_is_away(bench: Bench) -> None:
    tried = threading.Event()

    def away(_: Sequence[Task]) -> None:
        tried.set()
        raise TransientError("away")

    coordinator = bench.start(Stage("match", away, needs=Breaker("database")))
    coordinator.submit(task())
    assert tried.wait(SECONDS)
    assert coordinator.hurry() == []
    [done] = bench.custody.wait(1)
    assert done.retry_seconds is not None


def test_in_a_hurry_what_was_not_begun_comes_back(bench: Bench) -> None:
    gate, begun = threading.Event(), threading.Event()

    def step(_: Sequence[Task]) -> None:
        begun.set()
        assert gate.wait(SECONDS)

    coordinator = bench.start(Stage("fetch", step, capacity=9, recallable=True))
    tasks = [task() for _ in range(4)]
    coordinator.submit(tasks[0])
    assert begun.wait(SECONDS)
    for each in tasks[1:]:
        coordinator.submit(each)
    assert coordinator.hurry() == tasks[1:]
    gate.set()
    assert bench.custody.wait(1) == tasks[:1]


def test_pixels_are_let_go_at_the_end_whatever_happened(bench: Bench) -> None:
    freed: list[str] = []

    def step(tasks: Sequence[Task]) -> None:
        for each in tasks:
            each.on_drop = lambda: freed.append("x")
        raise RuntimeError("the detector broke")

    coordinator = bench.start(Stage("detect", step))
    coordinator.submit(task())
    bench.custody.wait(1)
    assert freed == ["x"]


def test_a_thread_that_hangs_does_not_hold_up_the_end(bench: Bench) -> None:
    gate, begun = threading.Event(), threading.Event()

    def hang(_: Sequence[Task]) -> None:
        begun.set()
        gate.wait(SECONDS)

    coordinator = bench.start(Stage("detect", hang))
    coordinator.submit(task())
    assert begun.wait(SECONDS)
    assert not coordinator.close(0.05)
    gate.set()
    assert coordinator.close(SECONDS)


def test_networks_that_fail_for_every_photo_end_the_worker() -> None:
    """A GPU's first fault is the end of it; a worker that went on would empty the queue."""
    broken: list[str] = []
    custody = Custody()
    good = task("good")

    def fail(tasks: Sequence[Task]) -> None:
        if good not in tasks:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    stages = [Stage("detect", fail, vital=True, capacity=100)]
    coordinator = Coordinator(stages, custody, Meter(), on_broken=broken.append)
    coordinator.start()
    bad = [task() for _ in range(2 * BROKEN_AFTER + 4)]
    for each in [*bad[: BROKEN_AFTER - 1], good, *bad[BROKEN_AFTER - 1 : 2 * BROKEN_AFTER - 2]]:
        coordinator.submit(each)
    custody.wait(2 * BROKEN_AFTER - 1)
    assert broken == [], "none of them fails for every photo"
    for each in bad[2 * BROKEN_AFTER - 2 :]:
        coordinator.submit(each)
    custody.wait(len(bad) + 1)
    coordinator.close(SECONDS)
    assert broken == ["detect"], "it is told once"
    assert all(each.retry_seconds is not None for each in bad)


def test_other_stages_that_fail_for_every_photo_do_not(bench: Bench) -> None:
    def fail(_: Sequence[Task]) -> None:
        raise ValueError("a defect of ours")

    broken: list[str] = []
    stage = Stage("crop", fail, capacity=100)
    coordinator = Coordinator([stage], bench.custody, bench.meter, on_broken=broken.append)
    coordinator.start()
    for _ in range(BROKEN_AFTER + 1):
        coordinator.submit(task())
    bench.custody.wait(BROKEN_AFTER + 1)
    coordinator.close(SECONDS)
    assert broken == []
