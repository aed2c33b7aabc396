"""The loop: what is deleted, what is handed back, and when it ends."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from faces.contracts.errors import TransientError
from faces.contracts.ids import new_id
from faces.contracts.jobs import JobMessage
from faces.contracts.names import upload_key
from faces.contracts.results import JobResult
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.shutdown import Shutdown
from gpu_worker.worker import Ending, Pace, Worker, retry_delay
from tests.fixtures.worker_fakes import NOW, FakeQueue


def body(job_id: str | None = None) -> str:
    job_id = job_id or new_id()
    return JobMessage(job_id=job_id, key=upload_key(job_id), size=1).model_dump_json()


@dataclass
class FakeRunner:
    """Answers jobs, or does what `act` does."""

    act: Callable[[JobMessage], None] = lambda _: None
    runs: list[tuple[str, bool]] = field(default_factory=list)

    def run(self, message: JobMessage, *, redelivered: bool) -> JobResult:
        self.runs.append((message.job_id, redelivered))
        self.act(message)
        return JobResult(
            job_id=message.job_id,
            kind="detect",
            tenant="default",
            collection="default",
            state="succeeded",
            code_version="1",
            submitted_at=NOW,
            finished_at=NOW,
        )


@dataclass
class FakeIndex:
    """Counts how often it was brought up to date."""

    follows: int = 0
    failures: int = 0

    def follow(self) -> None:
        self.follows += 1
        if self.failures:
            self.failures -= 1
            raise TransientError("the database is away")


class FakeShutdown(Shutdown):
    """Its waits pass at once and are noted."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.requested


@dataclass
class Bench:
    """A worker among fakes; its clock moves ten seconds with each receive."""

    queue: FakeQueue = field(default_factory=FakeQueue)
    runner: FakeRunner = field(default_factory=FakeRunner)
    index: FakeIndex = field(default_factory=FakeIndex)
    shutdown: FakeShutdown = field(default_factory=FakeShutdown)
    idle_seconds: float = 30

    def run(self) -> Ending:
        return Worker(
            self.queue,
            self.runner,
            self.index,
            Heartbeat(self.queue, 60, on_stuck=lambda: None),
            self.shutdown,
            Pace(batch=10, poll_seconds=10, idle_seconds=self.idle_seconds),
            clock=lambda: 10.0 * self.queue.receives + 1e-3 * len(self.shutdown.waits),
        ).run()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_ends_when_idle(bench: Bench) -> None:
    bench.queue.put(body())
    assert bench.run() is Ending.IDLE
    # One receive with work, then three of ten seconds without.
    assert bench.queue.receives == 4


def test_a_finished_message_is_deleted(bench: Bench) -> None:
    job_id = new_id()
    receipt = bench.queue.put(body(job_id))
    bench.run()
    assert bench.queue.deleted == [receipt]
    assert bench.queue.released == []
    assert bench.runner.runs == [(job_id, False)]


def test_a_redelivery_is_told(bench: Bench) -> None:
    bench.queue.put(body(), receive_count=2)
    bench.run()
    assert [redelivered for _, redelivered in bench.runner.runs] == [True]


def test_the_index_is_followed_after_each_receive(bench: Bench) -> None:
    for _ in range(12):
        bench.queue.put(body())
    bench.run()
    assert bench.index.follows == 1 + 2  # at the start, and for batches of 10 and 2
    assert len(bench.queue.deleted) == 12


def test_a_transient_failure_hands_the_message_back(bench: Bench) -> None:
    def fail(_: JobMessage) -> None:
        raise TransientError("S3 is away")

    bench.runner.act = fail
    receipts = [bench.queue.put(body(), count) for count in (1, 2, 3)]
    bench.run()
    assert bench.queue.released == list(zip(receipts, (10, 20, 40), strict=True))
    assert bench.queue.deleted == []


def test_after_a_failure_it_pauses_longer_and_longer(bench: Bench) -> None:
    bench.index.failures = 4
    bench.queue.put(body())
    bench.run()
    assert bench.shutdown.waits[:4] == [1, 2, 4, 8]
    # While the database was away nothing was received.
    assert len(bench.queue.deleted) == 1
    assert bench.queue.released == []


def test_a_database_that_goes_away_after_the_receive(bench: Bench) -> None:
    receipt = bench.queue.put(body(), 2)

    def go_away(receives: int) -> None:
        bench.index.failures = 1 if receives == 0 else 0

    bench.queue.on_receive = go_away
    bench.run()
    assert bench.queue.released == [(receipt, 20)]
    assert bench.runner.runs == []


def test_a_queue_that_is_away_is_asked_again(bench: Bench) -> None:
    def outage(receives: int) -> None:
        bench.queue.away = receives == 0

    bench.queue.on_receive = outage
    receipt = bench.queue.put(body())
    bench.run()
    assert bench.shutdown.waits[0] == 1
    assert bench.queue.deleted == [receipt]


def test_a_defect_costs_its_job_only(bench: Bench) -> None:
    poison, good = new_id(), new_id()

    def break_on_poison(message: JobMessage) -> None:
        if message.job_id == poison:
            raise IndexError("a library broke")

    bench.runner.act = break_on_poison
    first, second = bench.queue.put(body(poison)), bench.queue.put(body(good))
    bench.run()
    assert bench.queue.released == [(first, 10)]
    assert bench.queue.deleted == [second]
    assert bench.shutdown.waits == [], "nothing is away, so nothing waits"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "no json",
        '{"job_id": "1", "key": "uploads/1", "size": 1}',
        JobMessage(job_id=new_id(), key="uploads/other", size=1).model_dump_json(),
    ],
)
def test_a_malformed_message_goes_to_the_dead_letters(bench: Bench, text: str) -> None:
    receipt = bench.queue.put(text)
    bench.run()
    assert bench.runner.runs == []
    assert bench.queue.released == [(receipt, 0)]
    assert bench.queue.deleted == []


def test_asked_to_end_it_finishes_its_photo_and_gives_the_rest_back(bench: Bench) -> None:
    receipts = [bench.queue.put(body()) for _ in range(5)]

    def stop_at_second(_: JobMessage) -> None:
        if len(bench.runner.runs) == 2:
            bench.shutdown.request()

    bench.runner.act = stop_at_second
    assert bench.run() is Ending.ASKED
    assert bench.queue.deleted == receipts[:2]
    assert bench.queue.released == [(receipt, 0) for receipt in receipts[2:]]


def test_what_arrives_with_the_request_to_end_is_given_back(bench: Bench) -> None:
    receipt = bench.queue.put(body())
    bench.queue.on_receive = lambda _: bench.shutdown.request()
    assert bench.run() is Ending.ASKED
    assert bench.runner.runs == []
    assert bench.queue.released == [(receipt, 0)]


def test_asked_to_end_while_it_pauses(bench: Bench) -> None:
    bench.index.failures = 99

    class Impatient(FakeShutdown):
        def wait(self, seconds: float) -> bool:
            self.request()
            return True

    bench.shutdown = Impatient()
    assert bench.run() is Ending.ASKED
    assert bench.queue.receives == 0


def test_a_delete_that_fails_does_not_stop_the_loop(bench: Bench) -> None:
    def cut(_: JobMessage) -> None:
        bench.queue.away = len(bench.runner.runs) == 1

    bench.runner.act = cut
    bench.queue.put(body())
    second = bench.queue.put(body())
    bench.run()
    assert bench.queue.deleted == [second]


def test_retry_delays() -> None:
    assert [retry_delay(count) for count in (1, 2, 3, 5, 6, 10_000)] == [10, 20, 40, 160, 300, 300]
