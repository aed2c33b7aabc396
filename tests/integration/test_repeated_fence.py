"""A deleted person is not named by a repeated answer either, from the deletion's answer on."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalice_app.repeats import Repeats
from chalice_app.results import Results
from faces.contracts.ids import new_id
from faces.contracts.jobs import JobKind, JobParams, JobRequest
from faces.contracts.names import RESULT_PREFIX
from faces.contracts.results import JobResult, Match, Verification
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from gpu_worker.fence import FencedResults
from gpu_worker.index import GalleryIndex
from gpu_worker.remembering import CachedResults
from tests.fixtures.cache import MemoryCache
from tests.fixtures.gallery import HERE, MODEL, enroll, vector
from tests.fixtures.worker_fakes import FakeResults
from tests.unit.chalice_app.fakes import FakeContext, FakeObjects, photo
from tests.unit.gpu_worker.test_worker_fence import result

WAIT = 20
MARK = "workers"
PHOTO = photo()
IDENTIFY = JobRequest()


class Stack:
    """Intake and workers around one database, each with a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: list[KeptConnection] = []
        self.context = FakeContext()
        self.cache = MemoryCache()
        self.cache.work_as(MARK)
        self.before_write: Callable[[JobResult], None] = lambda _: None
        self.objects = FakeObjects(self.context.clock)
        write = self.objects.create

        def create(bucket: str, key: str, body: bytes) -> bool:
            self.before_write(JobResult.model_validate_json(body))
            return write(bucket, key, body)

        self.objects.create = create  # type: ignore[method-assign]

    def gallery(self) -> Gallery:
        self._opened.append(KeptConnection(self._url))
        return Gallery(self._opened[-1])

    def intake(self, gallery: Gallery | None = None) -> Repeats:
        context = self.context
        known = gallery or self.gallery()
        return Repeats(
            wanted=True,
            cache=self.cache,
            gallery=lambda: known,
            results=Results(
                self.objects, context.queues, context.settings.names, context.clock, self.cache
            ),
            clock=context.clock,
        )

    def worker(self) -> "Worker":
        return Worker(self)

    def results(self) -> list[JobResult]:
        names = self.context.settings.names
        return [
            JobResult.model_validate(self.objects.json(names.out_bucket, key))
            for key in self.objects.keys(names.out_bucket)
            if key.startswith(RESULT_PREFIX)
        ]

    def close(self) -> None:
        for connection in self._opened:
            connection.close()


class Written(FakeResults):
    """A worker's results, watched as intake's are."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self._stack = stack

    def store(self, result: JobResult) -> JobResult:
        self._stack.before_write(result)
        return super().store(result)


class Worker:
    """A worker's last steps: compare with its copy of the gallery, publish behind the fence."""

    def __init__(self, stack: Stack) -> None:
        gallery = stack.gallery()
        self.index = GalleryIndex(gallery, MODEL)
        self.index.follow()
        store = Written(stack)
        self._results = FencedResults(CachedResults(store, stack.cache, MARK), lambda: gallery)

    def answer(self, job_id: str) -> JobResult:
        [hits] = self.index.search(HERE["tenant"], HERE["collection"], vector(1)[None], 1)
        made = result(None).model_copy(update={"job_id": job_id})
        if hits:
            match = Match(
                person_id=hits[0].person_id,
                name=self.index.names[hits[0].person_id],
                similarity=hits[0].similarity,
                face_id=hits[0].face_id,
                threshold=0.5,
            )
            face = made.faces[0].model_copy(update={"match": match})
            made = made.model_copy(update={"faces": (face,)})
        return self._results.store(made)


@pytest.fixture
def stack(database_url: str) -> Iterator[Stack]:
    made = Stack(database_url)
    yield made
    made.close()


def names_somebody(made: JobResult) -> bool:
    return bool(made.named) or made.verification is not None


def test_a_deletion_waits_for_the_repeated_answer_that_is_being_published(stack: Stack) -> None:
    api, intake = stack.gallery(), stack.intake()
    ann = enroll(api, NewPerson(name="Ann"), vector(1))
    worker = stack.worker()
    first = new_id()
    assert not intake.answered(first, IDENTIFY, PHOTO)
    assert worker.answer(first).named

    writing, go_on = threading.Event(), threading.Event()

    def pause(_: JobResult) -> None:
        writing.set()
        assert go_on.wait(WAIT)

    stack.before_write = pause
    with ThreadPoolExecutor(2) as pool:
        repeated = pool.submit(intake.answered, new_id(), IDENTIFY, PHOTO)
        assert writing.wait(WAIT)
        deleted = pool.submit(api.delete_person, **HERE, person_id=ann.person_id)
        watcher = stack.gallery()
        while not _blocked(watcher):
            assert not deleted.done(), "answered while a result that names the person went out"
        go_on.set()
        assert repeated.result(WAIT)
        assert deleted.result(WAIT).faces == 1
    assert not intake.answered(new_id(), IDENTIFY, PHOTO)
    assert not worker.answer(new_id()).named


def test_a_comparison_is_not_repeated_after_the_person_went(stack: Stack) -> None:
    api, asked = stack.gallery(), stack.gallery()
    intake = stack.intake(asked)
    ann = enroll(api, NewPerson(name="Ann"), vector(1))
    request = JobRequest(kind=JobKind.VERIFY, params=JobParams(person_id=ann.person_id))
    job_id = new_id()
    assert not intake.answered(job_id, request, PHOTO)
    question = stack.cache.question(job_id)
    assert question is not None
    compared = Verification(
        same_person=True, person_id=ann.person_id, similarity=0.9, threshold=0.6
    )
    body = result(None).model_copy(update={"kind": "verify", "verification": compared})
    stack.cache.keep_answer(question, MARK, body.model_dump_json().encode())

    # The deletion is answered after the version was compared and before the person is held.
    version = Gallery.collection_version

    def compare_then_delete(tenant: str, collection: str) -> str:
        read = version(asked, tenant, collection)
        api.delete_person(**HERE, person_id=ann.person_id)
        return read

    asked.collection_version = compare_then_delete  # type: ignore[method-assign]
    assert not intake.answered(new_id(), request, PHOTO)
    assert stack.results() == []


@pytest.mark.parametrize("round_", range(4))
def test_two_intakes_and_two_workers_race_with_the_deletion(stack: Stack, round_: int) -> None:
    api = stack.gallery()
    ann = enroll(api, NewPerson(name="Ann"), vector(1))
    workers = [stack.worker() for _ in range(2)]
    intakes = [stack.intake() for _ in range(2)]
    deleted, stop = threading.Event(), threading.Event()
    wrong: list[JobResult] = []
    before: list[JobResult] = []

    def check(made: JobResult) -> None:
        if names_somebody(made):
            (wrong if deleted.is_set() else before).append(made)

    stack.before_write = check

    def ask(intake: Repeats, worker: Worker) -> int:
        count = 0
        while not stop.is_set():
            job_id = new_id()
            if not intake.answered(job_id, IDENTIFY, PHOTO):
                worker.answer(job_id)  # with what it loaded before the deletion
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, *pair) for pair in zip(intakes, workers, strict=True)]
        while len(before) < 10 + round_:
            assert not any(each.done() for each in asked)
            time.sleep(0.005)
        api.delete_person(**HERE, person_id=ann.person_id)
        deleted.set()
        after = len(stack.results())
        while len(stack.results()) < after + 5 and not wrong:
            assert not any(each.done() for each in asked)
            time.sleep(0.005)
        stop.set()
        assert all(each.result(WAIT) for each in asked)
    assert wrong == []
    assert before


def _blocked(gallery: Gallery) -> bool:
    with gallery._connections() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
        ).fetchone()
    return row is not None and row[0] > 0
