"""What is done to a running rig, and what must be true after it.

A scenario sends photos while a fault lasts, then lets the rig settle; `account` says the
rest. `scale` is 1 for the long form; the short form a fiftieth of it.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from faces.gallery.database import connect
from tests.chaos.accounting import GAVE_UP, SUCCEEDED
from tests.chaos.faults import HTTP_FAULTS, Fault, Plan, Proxy
from tests.chaos.fleet import VISIBILITY_SECONDS
from tests.chaos.photos import Harm
from tests.chaos.rig import Rig, eventually

PHOTOS, KILLS = 2_000, 100
SHORT = 0.1
"""A smaller scale is a short form."""

RECEIVES = 5
"""As the template says."""

STUCK_SECONDS = 4
TURN_SECONDS = STUCK_SECONDS + VISIBILITY_SECONDS + 3
"""Of a photo that hangs: until it is noticed, what else was in the dead worker's hands comes
again, and another worker is there."""

EASY_SECONDS = 20
"""For all the others, without poison."""


@dataclass(frozen=True)
class Scenario:
    """One way to make trouble.

    Attributes
    ----------
    play : does it; returns what else was noticed that is wrong.
    options : of the rig.
    short : other options of it in the short form.
    settle_seconds : within which everything must have ended after the fault.
    alone : it harms what all rigs share, so no other may run meanwhile.
    """

    name: str
    play: Callable[[Rig, float], list[str]]
    options: dict[str, object]
    settle_seconds: float = 90.0
    alone: bool = False
    short: dict[str, object] = field(default_factory=dict)


SCENARIOS: list[Scenario] = []


def scenario(
    name: str,
    settle_seconds: float = 90.0,
    *,
    alone: bool = False,
    short: dict[str, object] | None = None,
    **options: object,
) -> Callable[[Callable[[Rig, float], list[str] | None]], Callable[[Rig, float], list[str] | None]]:
    """Add a scenario to `SCENARIOS`."""

    def add(
        play: Callable[[Rig, float], list[str] | None],
    ) -> Callable[[Rig, float], list[str] | None]:
        SCENARIOS.append(
            Scenario(
                name,
                lambda rig, scale: play(rig, scale) or [],
                options,
                settle_seconds,
                alone,
                short or {},
            )
        )
        return play

    return add


def some(scale: float, most: int, least: int) -> int:
    return max(least, round(most * scale))


@contextmanager
def traffic(rig: Rig, photos: int, seconds: float) -> Iterator[None]:
    """Send photos, evenly over `seconds`, while the block runs; all are sent at its end."""

    def run() -> None:
        began = time.monotonic()
        for number in range(photos):
            time.sleep(max(0.0, began + seconds * number / photos - time.monotonic()))
            rig.send(1)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join()


@scenario("kill -9 of workers at random", 150, workers=2)
def kill_workers(rig: Rig, scale: float) -> None:
    """Kills come while photos are in hand, as often as workers come back."""
    kills, photos = some(scale, KILLS, 4), some(scale, PHOTOS, 60)
    sent = 0
    while rig.kills < kills or sent < photos:
        if sent < photos:
            portion = min(photos - sent, -(-photos // kills))
            rig.send(portion)
            sent += portion
        # Work goes on: who was killed before it began would be killed for nothing.
        eventually(rig.moved, 20)
        time.sleep(rig.random.uniform(0.0, 0.8))
        if rig.kills < kills:
            rig.kill_worker()


# Four deaths in a row on each of two queues are rare, and end a minute later each.
@scenario("kill -9 of Lambdas before they delete their messages", 240, lambda_deaths=0.3)
def kill_lambdas(rig: Rig, scale: float) -> None:
    rig.send(some(scale, 400, 40))


@scenario("kill -9 of the database", alone=True)
def kill_database(rig: Rig, scale: float) -> None:
    postgres = rig.place.postgres
    with traffic(rig, some(scale, 300, 40), 20 * max(scale, 0.3)):
        for _ in range(some(scale, 5, 1)):
            time.sleep(2)
            assert postgres.pid is not None
            os.kill(postgres.pid, signal.SIGKILL)
            time.sleep(1)
            postgres.start()


def http_faults(proxy: Callable[[Rig], Proxy], faults: tuple[Fault, ...], rate: float) -> Callable[
    [Rig, float], list[str]
]:  # fmt: skip
    """Return a play in which a share of the requests to one service meets faults."""

    def play(rig: Rig, scale: float) -> list[str]:
        plan = proxy(rig).plan = Plan(
            faults=faults, rate=rate, slow_seconds=0.5, seed=rig.random.randrange(1 << 30)
        )
        rig.send(some(scale, 300, 30))
        eventually(lambda: rig.ended(), 60 + 240 * scale)
        proxy(rig).plan = Plan()
        return _missed(plan)

    return play


def _missed(plan: Plan) -> list[str]:
    """Return in words which faults nobody met, so that surviving them says nothing."""
    missed = [fault for fault in plan.faults if not plan.met[fault]]
    return [f"nobody met: {', '.join(missed)}"] if missed else []


SCENARIOS += [
    Scenario(
        "S3 slow, throttled, failing, cut off, its answers lost",
        http_faults(lambda rig: rig.s3, HTTP_FAULTS, 0.15),
        {},
    ),
    Scenario(
        "SQS slow, throttled, failing, cut off, its answers lost",
        http_faults(lambda rig: rig.sqs, HTTP_FAULTS, 0.15),
        {},
    ),
]


@scenario("results written, the answer lost")
def lose_answers(rig: Rig, scale: float) -> list[str]:
    """Every second result is stored and nobody hears of it."""
    plan = rig.s3.plan = Plan(
        faults=(Fault.ANSWER_LOST,),
        rate=0.5,
        matching=lambda method, target: method == "PUT" and "/results/" in target,
        seed=1,
    )
    rig.send(some(scale, 200, 30))
    eventually(rig.ended, 120)
    rig.s3.plan = Plan()
    return _missed(plan)


@scenario("S3 and SQS away for a while")
def take_aws_away(rig: Rig, scale: float) -> None:
    rig.send(some(scale, 200, 20))
    for proxy in (rig.s3, rig.sqs):
        proxy.down = True
        proxy.cut_all()
        rig.send(some(scale, 50, 10))
        time.sleep(8)
        proxy.down = False


@scenario("PostgreSQL slow, cut off in the middle of answers, away")
def trouble_database(rig: Rig, scale: float) -> list[str]:
    plan = Plan((Fault.CUT,), 0.1, seed=rig.random.randrange(1 << 30))
    with traffic(rig, some(scale, 300, 40), 19):
        rig.database.delay = 0.2
        time.sleep(3)
        rig.database.delay = 0.0
        # One answer in ten comes in part: that of a COMMIT, for one.
        rig.database.plan = plan
        time.sleep(3)
        rig.database.plan = Plan()
        for _ in range(some(scale, 20, 4)):
            rig.database.cut_all()
            time.sleep(0.4)
        rig.database.down = True
        rig.database.cut_all()
        time.sleep(5)
        rig.database.down = False
    return _missed(plan)


@scenario("events and messages twice and in another order")
def repeat_everything(rig: Rig, scale: float) -> None:
    jobs = rig.send(some(scale, 300, 40))
    rig.notify_again(jobs)
    rig.request_again(jobs)
    eventually(rig.ended, 120)
    # And long after all is over.
    rig.notify_again(jobs)
    rig.request_again(jobs[:20])


@scenario("clocks that jump by a day", environ={"CHAOS_CLOCK": "7"})
def jump_clocks(rig: Rig, scale: float) -> None:
    rig.send(some(scale, 200, 30))


@scenario("a worker that is frozen and wakes up")
def freeze_worker(rig: Rig, scale: float) -> list[str]:
    """What it held is done by the other one; when it wakes up it must not do harm."""
    jobs = rig.send(some(scale, 200, 30))
    assert eventually(lambda: len(rig.workers()) == 2, 10)
    assert eventually(rig.begun, 60)
    frozen = rig.workers()[0]
    frozen.send_signal(signal.SIGSTOP)
    done = eventually(rig.ended, 30 + 3 * VISIBILITY_SECONDS)
    frozen.send_signal(signal.SIGCONT)
    time.sleep(2)
    return [] if done else [f"of {len(jobs)} some waited for the frozen worker"]


@scenario(
    "photos that crash, hang or exhaust the worker",
    120,
    # After its fifth and last try a photo that exhausts the worker has waited five minutes.
    short={"receives": 3},
    workers=2,
    environ={"WORKER_STUCK_SECONDS": str(STUCK_SECONDS), "CHAOS_MEMORY_MIB": "3000"},
)
def poison(rig: Rig, scale: float) -> list[str]:
    """They end as failed, others do not suffer, and they can be redriven."""
    noticed = []
    began = datetime.now(UTC)
    good = rig.send(some(scale, 100, 10))
    bad = {
        harm: rig.send(some(scale, 2, 1), harm, expect=GAVE_UP)
        for harm in (Harm.CRASH, Harm.HANG, Harm.EXHAUST)
    }
    good += rig.send(some(scale, 100, 10))
    poisonous = {job for jobs in bad.values() for job in jobs}
    if not eventually(lambda: rig.begun() and poisonous <= set(rig.ledger.results), 600):
        noticed.append("poison did not end")
    eventually(lambda: rig.begun() and set(good) <= set(rig.ledger.results), 5 * VISIBILITY_SECONDS)
    late = [job for job in good if rig.ledger.results.get(job) != SUCCEEDED]
    if late:
        noticed.append(f"{len(late)} others were later than the last poison")
    else:
        # Two workers share the turns. What is longer are pauses, in which others have theirs.
        turns = len(poisonous) * (rig.receives or RECEIVES) * TURN_SECONDS / 2
        delay = (max(rig.ended_at(job) for job in good) - began).total_seconds()
        if delay > EASY_SECONDS + turns:
            noticed.append(f"the last of the others ended after {delay:.0f} s")
    # The cause is gone: the photo is exchanged for a harmless one, and redriven.
    job = bad[Harm.CRASH][0]
    rig.cure(job)
    rig.redrive(job)
    if not eventually(rig.ended, 60):
        noticed.append("the redriven job did not end")
    return noticed


@scenario("a migration of the gallery that locks every table", alone=True)
def migrate_gallery(rig: Rig, scale: float) -> None:
    with traffic(rig, some(scale, 300, 40), 10):
        time.sleep(2)
        with connect(rig.place.postgres.url) as connection:
            for number in range(some(scale, 3, 1)):
                with connection.transaction():
                    for table in ("people", "faces", "changes", "unmatched_faces"):
                        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                        connection.execute(
                            f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS chaos{number} int"
                        )
                    time.sleep(3)


@scenario("a disk that is full under the database", alone=True)
def fill_disk(rig: Rig, scale: float) -> list[str]:
    """Nothing more fits on the file system of the database, for some seconds."""
    if rig.place.disk is None:
        return ["skipped: no file system of its own could be mounted"]
    filler = rig.place.disk / "filler"
    with traffic(rig, some(scale, 200, 30), 10):
        time.sleep(1)
        try:
            with filler.open("wb") as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 22))
                    file.flush()
            assert os.statvfs(rig.place.disk).f_bavail == 0
            time.sleep(6)
        finally:
            filler.unlink()
    if not rig.place.postgres.alive():
        rig.place.postgres.start()
    log = (rig.place.folder / "postgres.log").read_text(errors="replace")
    return [] if "No space left on device" in log else ["nobody met the full disk"]
