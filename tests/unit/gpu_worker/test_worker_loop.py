"""The worker as a whole, among fakes: what is deleted, what is handed back, when it ends."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from faces.contracts.errors import TransientError
from faces.contracts.ids import new_id
from faces.contracts.jobs import JobMessage
from faces.contracts.names import upload_key
from gpu_worker.breaker import Breaker
from gpu_worker.coordinator import Coordinator
from gpu_worker.hands import Hands
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.metrics import Metrics
from gpu_worker.protocol import Stage, Task, retry_delay
from gpu_worker.queue import Received
from gpu_worker.receiver import Receiver
from gpu_worker.shutdown import Shutdown
from gpu_worker.worker import Ending, Pace, Worker
from tests.fixtures.worker_fakes import FakeAttempts, FakeQueue

SECONDS = 20.0


def body(job_id: str | None = None, rounds: int = 0) -> str:
    job_id = job_id or new_id()
    job = JobMessage(job_id=job_id, key=upload_key(job_id), size=1, rounds=rounds)
    return job.model_dump_json()


def nothing(_: Sequence[Task]) -> None:
    pass


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


@dataclass
class Bench:
    """A worker among fakes: its work is `act`, then the message is deleted."""

    act: Callable[[Sequence[Task]], None] = nothing
    queue: FakeQueue = field(default_factory=FakeQueue)
    index: FakeIndex = field(default_factory=FakeIndex)
    shutdown: Shutdown = field(default_factory=Shutdown)
    idle_seconds: float = 0.2
    drain_seconds: float = 5.0
    in_hand: int = 10
    batch: int = 10
    receivers: int = 2
    breakers: dict[str, Breaker] = field(
        default_factory=lambda: {
            name: Breaker(name, first_pause=0.1) for name in ("work", "sqs", "database")
        }
    )
    attempts: FakeAttempts = field(default_factory=FakeAttempts)
    ended: list[Task] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def worker(self) -> Worker:
        breakers = list(self.breakers.values())
        heartbeat = Heartbeat(self.queue, 60, 900, on_stuck=lambda: None)
        self.hands = Hands(
            self.queue,
            heartbeat,
            self.in_hand,
            breakers,
            self.attempts,
            on_end=self.ended.append,
        )
        metrics = Metrics("faces-test", "i-0", breakers, self.lines.append)
        stages = [
            Stage(
                "work",
                lambda tasks: self.act(tasks),
                batch=self.batch,
                capacity=100,
                needs=self.breakers["work"],
                recallable=True,
            ),
            Stage("delete", self._delete),
        ]
        coordinator = Coordinator(stages, self.hands, metrics)
        receivers = [
            Receiver(self.queue, self.hands, coordinator.submit, self.breakers["sqs"], 10, 1)
            for _ in range(self.receivers)
        ]
        return Worker(
            self.hands,
            heartbeat,
            coordinator,
            receivers,
            self.index,
            self.breakers["database"],
            self.shutdown,
            Pace(self.idle_seconds, self.drain_seconds, metrics_seconds=0.1),
            flush=metrics.flush,
        )

    def run(self) -> Ending:
        return self.worker().run()

    def _delete(self, tasks: Sequence[Task]) -> None:
        self.queue.delete([task.message for task in tasks])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_works_off_what_waits_and_ends_when_idle(bench: Bench) -> None:
    receipts = [bench.queue.put(body()) for _ in range(25)]
    assert bench.run() is Ending.IDLE
    assert sorted(bench.queue.deleted) == sorted(receipts)
    assert bench.queue.released == []
    assert bench.hands.count == 0


def test_photos_in_hand_are_bounded(bench: Bench) -> None:
    most: list[int] = []
    bench.in_hand, bench.receivers = 4, 3
    bench.act = lambda _: most.append(bench.hands.count)
    for _ in range(30):
        bench.queue.put(body())
    bench.run()
    assert len(bench.queue.deleted) == 30
    assert max(most) <= 4


def test_a_defect_costs_its_job_only(bench: Bench) -> None:
    receipts = [bench.queue.put(body()) for _ in range(5)]

    def break_on_one(tasks: Sequence[Task]) -> None:
        if any(task.message.receipt == receipts[2] for task in tasks):
            raise IndexError("a library broke")

    bench.act = break_on_one
    bench.run()
    assert bench.queue.released == [(receipts[2], 10)]
    assert sorted(bench.queue.deleted) == sorted(set(receipts) - {receipts[2]})


def test_a_photo_that_comes_again_is_alone(bench: Bench) -> None:
    """Whatever it does, it does it to nobody else."""
    together: list[tuple[list[str], int]] = []
    suspect = bench.queue.put(body(), receive_count=2)
    fresh = [bench.queue.put(body()) for _ in range(6)]
    second = bench.queue.put(body(), receive_count=3)
    last = bench.queue.put(body())

    def act(tasks: Sequence[Task]) -> None:
        time.sleep(0.01)
        together.append(([task.message.receipt for task in tasks], len(bench.ended)))

    bench.act = act
    bench.receivers = 1  # two would share the others out by chance
    bench.run()
    for receipt in (suspect, second):
        assert [receipt] in [batch for batch, _ in together]
    # The first was received alone, so nobody else lost a delivery if the process died.
    assert bench.queue.received[0] == [suspect]
    assert sorted(bench.queue.deleted) == sorted([suspect, *fresh, second, last])
    # The second came with others: they were through before it began.
    [(_, before)] = [each for each in together if each[0] == [second]]
    assert before >= 7


def test_work_on_suspects_is_on_record(bench: Bench) -> None:
    """Until it ends in order: not for a fault of the photo's, and never for others."""
    fresh = [bench.queue.put(body()) for _ in range(3)]
    good, bad = (bench.queue.put(body(), receive_count=2) for _ in range(2))
    put_back = bench.queue.put(body(rounds=1))

    def act(tasks: Sequence[Task]) -> None:
        begun = bench.attempts.begun_ones
        for task in tasks:
            receipt = task.message.receipt
            assert (receipt in begun) is (receipt not in fresh)
            assert receipt not in bench.attempts.ended_ones
            if receipt == bad:
                raise MemoryError

    bench.act = act
    bench.run()
    assert sorted(bench.attempts.begun_ones) == sorted([good, bad, put_back])
    assert sorted(bench.attempts.ended_ones) == sorted([good, put_back])
    assert [receipt for receipt, _ in bench.queue.released] == [bad]


def test_a_suspect_that_only_waited_is_not_on_record(bench: Bench) -> None:
    """The worker is asked to end while the first of two suspects is in work."""
    bench.worker()
    for _ in range(2):
        bench.queue.put(body(), receive_count=2)
    messages = bench.queue.receive(2, 0)
    bench.hands.keep(messages)
    first, second = (Task(message, message.job()) for message in messages)
    submitted: list[Task] = []
    threads = [
        threading.Thread(target=bench.hands.begin, args=(task, submitted.append))
        for task in (first, second)
    ]
    threads[0].start()
    wait_until(lambda: submitted)
    threads[1].start()
    bench.hands.close()
    for thread in threads:
        thread.join(SECONDS)
    first.hand_back(0)
    bench.hands.ended(first)
    bench.hands.give_back_all()
    assert submitted == [first]
    assert bench.attempts.begun_ones == bench.attempts.ended_ones == ["r0"]
    assert sorted(bench.queue.released) == [("r0", 0), ("r1", 0)]


def test_what_was_not_begun_is_handed_back_together(bench: Bench) -> None:
    bench.worker()
    for _ in range(3):
        bench.queue.put(body())
    messages = bench.queue.receive(3, 0)
    bench.hands.keep(messages)
    tasks = [Task(message, message.job()) for message in messages]
    for task in tasks[:2]:
        assert bench.hands.begin(task, lambda _: None)
    bench.hands.recalled(tasks[:2])
    assert (bench.queue.releases, bench.hands.count) == (1, 1)
    assert bench.hands.give_back_all() == 1
    assert sorted(bench.queue.released) == [("r0", 0), ("r1", 0), ("r2", 0)]
    assert bench.hands.wait_for_tasks(0)


def test_trust_in_new_messages_grows_by_and_by(bench: Bench) -> None:
    bench.receivers, bench.in_hand, bench.batch = 1, 8, 1
    for _ in range(40):
        bench.queue.put(body())
    most: list[int] = []
    bench.act = lambda _: most.append(bench.hands.count)
    bench.run()
    assert len(bench.queue.received[0]) == 1
    assert len(bench.queue.received[1]) <= 2
    assert len(bench.queue.received[2]) <= 4
    assert max(most) <= 8


def test_after_a_suspect_messages_come_one_at_a_time(bench: Bench) -> None:
    for _ in range(3):
        bench.queue.put(body(), receive_count=2)
    bench.run()
    assert all(len(messages) <= 1 for messages in bench.queue.received)
    assert len(bench.queue.deleted) == 3


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
    assert bench.ended == []
    assert bench.queue.released == [(receipt, 0)]
    assert bench.queue.deleted == []


def test_nothing_is_received_before_the_gallery_could_be_read(bench: Bench) -> None:
    bench.index.failures = 2
    received_at: list[int] = []
    bench.queue.on_receive = lambda _: received_at.append(bench.index.follows)
    bench.queue.put(body())
    bench.idle_seconds = 1.5
    bench.run()
    assert min(received_at) == 3
    assert len(bench.queue.deleted) == 1


def test_an_outage_burns_no_deliveries(bench: Bench) -> None:
    """What is in hand waits there, and hardly anything else is received meanwhile."""
    outage = threading.Event()
    outage.set()
    tries: list[int] = []
    counts: list[int] = []

    def act(tasks: Sequence[Task]) -> None:
        tries.append(len(tasks))
        if outage.is_set():
            counts.append(sum(map(len, bench.queue.received)))
            if len(tries) == 5:
                outage.clear()
            raise TransientError("S3 is away")

    bench.act, bench.batch, bench.idle_seconds = act, 1, 2
    receipts = [bench.queue.put(body()) for _ in range(20)]
    bench.run()
    assert sorted(bench.queue.deleted) == sorted(receipts)
    assert bench.queue.released == [], "each was delivered once"
    # The first message came alone, up to ten with the next receive; no more before it is back.
    assert counts[-1] <= 11


def test_a_queue_that_is_away_is_left_alone(bench: Bench) -> None:
    def outage(receives: int) -> None:
        bench.queue.away = receives < 4

    bench.queue.on_receive = outage
    bench.idle_seconds, bench.receivers = 1.5, 1
    receipt = bench.queue.put(body())
    started = time.monotonic()
    bench.run()
    assert bench.queue.deleted == [receipt]
    assert time.monotonic() - started >= 0.3, "it paused for 0.1 and 0.2 s"


def test_asked_to_end_it_finishes_what_it_began_and_gives_the_rest_back(bench: Bench) -> None:
    gate, begun = threading.Event(), threading.Event()
    receipts = [bench.queue.put(body()) for _ in range(5)]

    def act(_: Sequence[Task]) -> None:
        begun.set()
        assert gate.wait(SECONDS)

    bench.act, bench.batch, bench.idle_seconds = act, 1, 60
    endings: list[Ending] = []
    thread = threading.Thread(target=lambda: endings.append(bench.run()))
    thread.start()
    assert begun.wait(SECONDS)
    wait_until(lambda: bench.hands.count == 5)
    bench.shutdown.request("SIGTERM")
    wait_until(lambda: len(bench.queue.released) == 4)
    assert bench.queue.deleted == []
    gate.set()
    thread.join(SECONDS)
    assert endings == [Ending.ASKED]
    assert bench.queue.deleted == receipts[:1]
    assert sorted(bench.queue.released) == [(receipt, 0) for receipt in receipts[1:]]


def test_a_photo_that_takes_too_long_is_handed_back_in_time(bench: Bench) -> None:
    gate, begun = threading.Event(), threading.Event()
    receipt = bench.queue.put(body())

    def act(_: Sequence[Task]) -> None:
        begun.set()
        gate.wait(SECONDS)

    bench.act, bench.drain_seconds, bench.idle_seconds = act, 2.5, 60

    def ask() -> None:
        assert begun.wait(SECONDS)
        bench.shutdown.request("SIGTERM")

    threading.Thread(target=ask).start()
    started = time.monotonic()
    assert bench.run() is Ending.ASKED
    assert time.monotonic() - started < 5
    assert bench.queue.released == [(receipt, 0)]
    assert bench.queue.deleted == []
    gate.set()


def test_a_queue_that_hangs_does_not_keep_the_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call takes minutes until it fails where packets are dropped."""
    gate, begun = threading.Event(), threading.Event()
    for _ in range(3):
        bench.queue.put(body())

    def act(_: Sequence[Task]) -> None:
        begun.set()
        gate.wait(SECONDS)

    def hang(*_: object) -> list[Received]:
        gate.wait(SECONDS)
        return []

    def ask() -> None:
        assert begun.wait(SECONDS)
        monkeypatch.setattr(bench.queue, "release", hang)
        monkeypatch.setattr(bench.queue, "extend", hang)
        wait_until(lambda: bench.hands.count == 3)
        bench.shutdown.request("SIGTERM")

    bench.act, bench.batch, bench.drain_seconds, bench.idle_seconds = act, 1, 1.5, 60
    threading.Thread(target=ask).start()
    started = time.monotonic()
    assert bench.run() is Ending.ASKED
    assert time.monotonic() - started < 6
    gate.set()


def test_what_arrives_with_the_request_to_end_is_given_back(bench: Bench) -> None:
    receipt = bench.queue.put(body())

    def ask(_: int) -> None:
        bench.shutdown.request("SIGTERM")
        wait_until(lambda: bench.hands._closed)

    bench.queue.on_receive = ask
    assert bench.run() is Ending.ASKED
    assert bench.ended == []
    assert bench.queue.released == [(receipt, 0)]


def test_asked_to_end_while_the_database_is_away(bench: Bench) -> None:
    bench.index.failures = 10_000
    bench.idle_seconds = 60
    threading.Timer(0.1, bench.shutdown.request, ["SIGTERM"]).start()
    assert bench.run() is Ending.ASKED
    assert bench.queue.receives == 0


def test_retry_delays() -> None:
    assert [retry_delay(count) for count in (1, 2, 3, 5, 6, 10_000)] == [10, 20, 40, 160, 300, 300]
