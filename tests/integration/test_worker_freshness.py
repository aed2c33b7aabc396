"""Who was enrolled is known by all workers at once: the change feed, from two workers."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from faces.contracts.ids import new_id
from faces.contracts.jobs import ContentType, JobKind, JobParams, JobRequest
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from gpu_worker.index import GalleryIndex
from tests.fixtures.fake_workers import StartFakeWorker
from tests.fixtures.gallery import MODEL
from tests.fixtures.photos import encoded
from tests.fixtures.worker_fakes import unit
from tests.fixtures.worker_stack import WorkerStack

SECONDS = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_one_worker_enrols_the_other_finds_at_once(database_url: str) -> None:
    """Four writers, each of which looks with another worker's copy right after its write."""
    missed: list[int] = []

    def work(first: int) -> None:
        writing, reading = KeptConnection(database_url), KeptConnection(database_url)
        index = GalleryIndex(Gallery(reading), MODEL)
        index.follow()
        for number in range(first, first + 10):
            enrolment = Gallery(writing).enroll_face(
                job_id=new_id(),
                tenant="default",
                collection="default",
                person=NewPerson(name=f"Person {number}"),
                embedding=unit(number),
                model_tag=MODEL,
            )
            index.follow()
            [[hit]] = index.search("default", "default", unit(number)[np.newaxis], 1)
            if hit.person_id != enrolment.person_id:
                missed.append(number)
        writing.close()
        reading.close()

    threads = [threading.Thread(target=work, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert missed == []
    late = GalleryIndex(Gallery(KeptConnection(database_url)), MODEL)
    late.follow()
    assert len(late) == 40


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 250, (64, 64, 3), dtype=np.uint8)
    pixels[0, 0] = (9, 9, 9)
    return encoded(pixels, "PNG")


@pytest.mark.parametrize("exact_faces", ["200000", "0"], ids=["in memory", "in the database"])
def test_two_worker_processes_know_who_was_just_enrolled(
    worker_stack: WorkerStack, start_fake_worker: StartFakeWorker, exact_faces: str
) -> None:
    for _ in range(2):
        start_fake_worker(WORKER_IDLE_SECONDS="60", WORKER_EXACT_FACES=exact_faces)
    workers: set[str | None] = set()
    for number in range(6):
        enroll = worker_stack.submit(
            picture(number),
            JobRequest(
                kind=JobKind.ENROLL,
                content_type=ContentType.PNG,
                params=JobParams(person_name=f"Person {number}", force=True),
            ),
        )
        wait_until(lambda job=enroll: job in worker_stack.finished())  # type: ignore[misc]
        jobs = [
            worker_stack.submit(picture(number), JobRequest(content_type=ContentType.PNG))
            for _ in range(4)
        ]
        wait_until(lambda jobs=jobs: set(jobs) <= set(worker_stack.finished()))  # type: ignore[misc]
        enrolment = worker_stack.result(enroll).enrolment
        assert enrolment is not None
        for job in jobs:
            result = worker_stack.result(job)
            match = result.faces[0].match
            assert match is not None, "the worker did not know the person yet"
            assert match.person_id == enrolment.person_id
            assert match.name == f"Person {number}"
            workers.add(result.worker_id)
    assert len(workers) == 2, "both took part"
