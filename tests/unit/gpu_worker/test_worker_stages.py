"""Stages alone: what each does beyond what whole jobs show."""

import threading
from collections.abc import Sequence

import pytest

from faces.contracts.errors import TransientError
from faces.contracts.jobs import JobDone, JobRequest
from gpu_worker.backends.base import FloatArray
from gpu_worker.index import Hit
from gpu_worker.pipeline import Breakers, stages
from gpu_worker.protocol import Task
from gpu_worker.queue import Received
from gpu_worker.sizes import Sizes
from gpu_worker.stages.announce import Announce
from gpu_worker.stages.decode import Decode, PixelBudget
from gpu_worker.stages.match import Match
from tests.fixtures.photos import encoded, public_photo
from tests.fixtures.worker_fakes import (
    FakeAnnouncer,
    FakeQueue,
    FakeWorld,
    detection,
    through,
)

SECONDS = 20.0


def test_pixels_are_waited_for() -> None:
    budget, second = PixelBudget(100), threading.Event()
    budget.acquire(60)

    def more() -> None:
        budget.acquire(50)
        second.set()

    threading.Thread(target=more, daemon=True).start()
    assert not second.wait(0.05)
    budget.release(60)
    assert second.wait(SECONDS)


def test_a_photo_beyond_the_budget_is_decoded_alone() -> None:
    budget, third = PixelBudget(100), threading.Event()
    budget.acquire(1000)

    def more() -> None:
        budget.acquire(1)
        third.set()

    threading.Thread(target=more, daemon=True).start()
    assert not third.wait(0.05)
    budget.release(1000)
    assert third.wait(SECONDS)


@pytest.mark.parametrize("pixels", [90, 1000])
def test_small_photos_do_not_overtake_a_large_one_for_ever(pixels: int) -> None:
    budget, large, small = PixelBudget(100), threading.Event(), threading.Event()
    budget.acquire(20)

    def take(wanted: int, taken: threading.Event) -> None:
        budget.acquire(wanted)
        taken.set()

    waiting = threading.Thread(target=take, args=(pixels, large), daemon=True)
    waiting.start()
    waiting.join(0.05)
    threading.Thread(target=take, args=(20, small), daemon=True).start()
    assert not small.wait(0.05)
    budget.release(20)
    assert large.wait(SECONDS)
    budget.release(pixels)
    assert small.wait(SECONDS)


def test_a_photo_whose_size_is_not_known_beforehand_counts_as_the_largest() -> None:
    class Asked(PixelBudget):
        pixels = 0

        def acquire(self, pixels: int) -> None:
            self.pixels = pixels
            super().acquire(pixels)

    budget, photo = Asked(100), encoded(public_photo("coffee")[:40, :40])
    first = 4 + int.from_bytes(photo[4:6], "big")  # where the second segment begins
    for data, expected in ((photo, 1600), (photo[:first] + b"\0" + photo[first:], 10**6)):
        task = Task(Received("m", "r", "", 1), FakeWorld().uploads.submit(data, JobRequest()))
        task.data = data
        Decode(budget, 10**6)([task])
        assert (budget.pixels, task.info and task.info.width) == (expected, 40)
        task.drop_photo()


def finished(world: FakeWorld, count: int) -> list[Task]:
    """Return tasks that only have to be announced."""
    tasks = []
    made = stages(world.parts, Sizes(), Breakers.make())
    for number in range(count):
        job = world.uploads.submit(encoded(public_photo("coffee")[:40, :40]), JobRequest())
        tasks.append(Task(Received(f"m{number}", f"r{number}", "", 1), job))
        through(made[:-1], tasks[-1])
    return tasks


def test_what_was_not_announced_is_not_deleted_and_nothing_is_announced_twice() -> None:
    class Refusing(FakeAnnouncer):
        refused = 1

        def announce(self, done: Sequence[JobDone]) -> list[bool]:
            taken = super().announce(done[self.refused :])
            answer = [False] * self.refused + taken
            self.refused = 0
            return answer

    queue, announcer, dropped = FakeQueue(), Refusing(), list[str]()
    step = Announce(announcer, queue, lambda held: dropped.extend(each.receipt for each in held))
    tasks = finished(FakeWorld(), 3)
    with pytest.raises(TransientError):
        step(tasks)
    assert queue.deleted == []
    step(tasks)
    assert len(announcer.announced) == 3
    assert queue.deleted == dropped == ["r0", "r1", "r2"]


def test_a_deletion_that_fails_is_no_failure() -> None:
    queue, announcer = FakeQueue(away=True), FakeAnnouncer()
    Announce(announcer, queue, lambda _: None)(finished(FakeWorld(), 1))
    assert len(announcer.announced) == 1


def test_a_batch_is_searched_at_once_and_followed_first() -> None:
    world = FakeWorld()
    world.detector.found = [detection(5, 5, 30)]
    order: list[str] = []
    index = world.index

    class Watched:
        names = index.names

        def follow(self) -> None:
            order.append("follow")
            index.follow()

        def search(
            self, tenant: str, collection: str, probes: FloatArray, count: int
        ) -> list[list[Hit]]:
            order.append(f"search {collection} {len(probes)}")
            return index.search(tenant, collection, probes, count)

        def size(self, tenant: str, collection: str) -> int:
            return index.size(tenant, collection)

    made = stages(world.parts, Sizes(), Breakers.make())
    before = [
        stage for stage in made if stage.name in {"fetch", "decode", "detect", "crop", "embed"}
    ]
    tasks = []
    for collection in ("default", "staff", "default"):
        photo = encoded(public_photo("coffee")[:60, :60])
        job = world.uploads.submit(photo, JobRequest(collection=collection))
        task = Task(Received("m", "r", "", 1), job)
        for stage in before:
            stage.step([task])
        tasks.append(task)
    match = world.parts.match
    Match(
        world.gallery,
        Watched(),
        match.model_tag,
        match.decisions,
        match.unmatched_for,
        match.clock,
    )(tasks)
    assert order == ["follow", "search default 2", "search staff 1"]
    assert len({task.faces[0].req_id for task in tasks}) == 3
    assert set(world.gallery.unmatched) == {task.faces[0].req_id for task in tasks}
