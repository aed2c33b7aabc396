"""Who was enrolled is known by all workers at once: the change feed, from two workers."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from faces.contracts.ids import new_id
from faces.contracts.jobs import ContentType, JobKind, JobParams, JobRequest
from faces.contracts.results import JobResult
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from gpu_worker.index import GalleryIndex
from tests.fixtures.fake_workers import StartFakeWorker
from tests.fixtures.gallery import MODEL
from tests.fixtures.photos import encoded
from tests.fixtures.worker_cli import BLUE
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
    connections = KeptConnection(database_url)
    late = GalleryIndex(Gallery(connections), MODEL)
    late.follow()
    assert len(late) == 40
    connections.close()


def picture(seed: int) -> bytes:
    """Return a photo that takes a second, so that the other worker takes the next one."""
    pixels = np.random.default_rng(seed).integers(0, 250, (64, 64, 3), dtype=np.uint8)
    pixels[0, 0] = BLUE
    return encoded(pixels, "PNG")


@pytest.mark.parametrize("exact_faces", ["200000", "0"], ids=["in memory", "in the database"])
def test_two_worker_processes_know_who_was_just_enrolled(
    worker_stack: WorkerStack, start_fake_worker: StartFakeWorker, exact_faces: str
) -> None:
    """Repeated until the worker that had not enrolled the person answered three times."""
    for _ in range(2):
        start_fake_worker(
            WORKER_IDLE_SECONDS="60", WORKER_EXACT_FACES=exact_faces, WORKER_IN_HAND="1"
        )
    by_the_other, number = 0, 0
    deadline = time.monotonic() + SECONDS
    while by_the_other < 3:
        assert time.monotonic() < deadline, "one worker took everything"
        number += 1
        params = JobParams(person_name=f"Person {number}", force=True)
        [enrolled] = answered(
            worker_stack,
            picture(number),
            JobRequest(kind=JobKind.ENROLL, content_type=ContentType.PNG, params=params),
        )
        assert enrolled.enrolment is not None
        identify = JobRequest(content_type=ContentType.PNG)
        for result in answered(worker_stack, picture(number), identify, times=2):
            match = result.faces[0].match
            assert match is not None, "the worker did not know the person yet"
            assert match.person_id == enrolled.enrolment.person_id
            assert match.name == f"Person {number}"
            by_the_other += result.worker_id != enrolled.worker_id


def answered(
    stack: WorkerStack, photo: bytes, request: JobRequest, times: int = 1
) -> list[JobResult]:
    """Submit a photo so many times at once and return the results."""
    jobs = {stack.submit(photo, request) for _ in range(times)}
    wait_until(lambda: jobs <= set(stack.finished()))
    return [stack.result(job) for job in jobs]
