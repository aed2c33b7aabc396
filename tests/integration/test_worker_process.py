"""`python -m gpu_worker` as it runs on an instance: real networks, database and queues."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image, ImageOps

from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import ContentType, JobKind, JobParams, JobRequest, JobState
from faces.gallery.database import connect
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.backends.model import MODEL
from gpu_worker.profiles import PROFILES
from gpu_worker.sizes import ON_CPU
from gpu_worker.weights import ensure_weights, weights_path
from tests.fixtures.photos import encoded, public_photo
from tests.fixtures.worker_stack import WorkerStack

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
MOST_BYTES = 450e6
"""Fifteen workers fit on one computer."""

pytestmark = pytest.mark.weights


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


class WorkerProcess:
    """A worker with its log in a file."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gpu_worker"],
                env=environ,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_for_log(self, text: str, seconds: float = START_SECONDS) -> None:
        def said() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return text in self.log.read_text()

        wait_until(said, seconds, text)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(
    worker_stack: WorkerStack,
    aws_environment: dict[str, str],
    database_url: str,
    tmp_path: Path,
) -> Iterator[StartWorker]:
    try:
        weights = ensure_weights(weights_path(os.environ))
    except ModelUnusableError as error:
        pytest.skip(str(error))
    workers: list[WorkerProcess] = []

    def start(**settings: str) -> WorkerProcess:
        environ = {
            "PATH": os.environ["PATH"],
            **aws_environment,
            "TORCH_HOME": str(weights.parent.parent),
            "DATABASE_URL": database_url,
            "FACES_STACK": worker_stack.names.stack,
            "WORKER_ID": "i-0test",
            "WORKER_THREADS": "1",
            "WORKER_POLL_SECONDS": "1",
            "WORKER_VISIBILITY_SECONDS": "10",
            **settings,
        }
        workers.append(WorkerProcess(environ, tmp_path / f"worker-{len(workers)}.log"))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


def test_from_unknown_to_recognised(
    worker_stack: WorkerStack, start_worker: StartWorker, gallery: Gallery
) -> None:
    astronaut = public_photo("astronaut")
    unknown = worker_stack.submit(encoded(astronaut), JobRequest(file_name="astronaut.jpg"))
    nobody = worker_stack.submit(encoded(public_photo("coffee")), JobRequest())
    no_photo = worker_stack.submit(b"%PDF-1.7 no photo", JobRequest())
    worker = start_worker(WORKER_IDLE_SECONDS="15")
    wait_until(lambda: worker_stack.results() == 3, START_SECONDS, "three results")

    first = worker_stack.result(unknown)
    assert (first.state, first.worker_id) == ("succeeded", "i-0test")
    [face] = first.faces
    assert face.match is None
    assert face.req_id is not None
    assert abs(face.box.left - 181) <= 2
    assert set(first.timings_ms) == {"fetch", "decode", "detect", "embed", "match"}
    assert worker_stack.result(nobody).faces == ()
    failed = worker_stack.result(no_photo)
    assert failed.error is not None
    assert failed.error.code is ErrorCode.NOT_AN_IMAGE

    enrolment = gallery.enroll_unmatched(
        tenant="default",
        collection="default",
        req_id=face.req_id,
        person=NewPerson(name="Eileen Collins"),
    )
    other = np.ascontiguousarray(astronaut[:400, ::-1])
    known = worker_stack.submit(encoded(other, quality=60), JobRequest())
    enroll = worker_stack.submit(
        encoded(astronaut),
        # The very same face is refused unless it is forced.
        JobRequest(
            kind=JobKind.ENROLL, params=JobParams(person_id=enrolment.person_id, force=True)
        ),
    )
    verify = worker_stack.submit(
        encoded(astronaut),
        JobRequest(kind=JobKind.VERIFY, params=JobParams(person_id=enrolment.person_id)),
    )
    wrong_type = worker_stack.submit(
        encoded(astronaut), JobRequest(kind=JobKind.DETECT, content_type=ContentType.PNG)
    )
    wait_until(lambda: worker_stack.results() == 7, 60, "seven results")

    match = worker_stack.result(known).faces[0].match
    assert match is not None
    assert (match.person_id, match.name) == (enrolment.person_id, "Eileen Collins")
    assert match.similarity > 0.8
    enrolled = worker_stack.result(enroll).enrolment
    assert enrolled is not None
    assert enrolled.person_id == enrolment.person_id
    assert len(gallery.list_faces("default", "default", enrolment.person_id)) == 2
    verification = worker_stack.result(verify).verification
    assert verification is not None
    assert verification.same_person
    error = worker_stack.result(wrong_type).error
    assert error is not None
    assert error.code is ErrorCode.WRONG_CONTENT_TYPE

    assert psutil.Process(worker.process.pid).memory_info().rss < MOST_BYTES

    # Idle, it ends itself; nothing waits and every job was announced once.
    assert worker.process.wait(60) == 0
    assert worker_stack.waiting(worker_stack.names.req_queue) == (0, 0)
    announced = worker_stack.announced()
    assert len(announced) == 7
    assert {done.job_id for done in announced if done.state is JobState.FAILED} == {
        no_photo,
        wrong_type,
    }
    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
    assert {line["job_id"] for line in lines if line["message"] == "job ended"} == {
        done.job_id for done in announced
    }


def test_memory_at_its_worst(
    worker_stack: WorkerStack, start_worker: StartWorker, database_url: str, gallery: Gallery
) -> None:
    """The largest gallery that is kept, and large photos among small ones, several in hand."""
    gallery.ensure_collection("default", "default")
    fill(database_url, ON_CPU.exact_faces, PROFILES["default"].model(MODEL).tag)
    photo = Image.fromarray(public_photo("astronaut"))
    sizes = [(4000, 3000), (1920, 1080), (2400, 1700), (640, 480), (3000, 4000), (2300, 1800)]
    files = [encoded(np.asarray(ImageOps.fit(photo, size))) for size in sizes]
    for data in files * 2:
        worker_stack.submit(data, JobRequest())
    worker = start_worker(WORKER_IDLE_SECONDS="60")
    wait_until(lambda: worker_stack.results() == 2 * len(files), START_SECONDS, "all results")
    assert "searching in memory" in worker.log.read_text()
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    assert int(peak) * 1024 < MOST_BYTES, peak


def fill(database_url: str, faces: int, model_tag: str) -> None:
    """Put people of one made-up face each into the default collection."""
    with connect(database_url) as connection, connection.transaction():
        collection = "(SELECT min(collection_id) FROM collections)"
        connection.execute(
            "INSERT INTO people (person_id, collection_id, name) "
            f"SELECT gen_random_uuid(), {collection}, 'Person' FROM generate_series(1, %s)",
            [faces],
        )
        # Each vector is another stretch of the same random numbers.
        connection.execute(
            "WITH numbers AS (SELECT array_agg(random() - 0.5) AS drawn "
            "                 FROM generate_series(1, 512 + %(faces)s)), "
            "     rows AS (SELECT person_id, row_number() OVER () AS n FROM people) "
            "INSERT INTO faces (face_id, person_id, collection_id, embedding, model_tag, "
            "                   enrolled_by) "
            f"SELECT gen_random_uuid(), person_id, {collection}, "
            "       l2_normalize(drawn[n:n + 511]::halfvec(512)), %(tag)s, gen_random_uuid() "
            "FROM rows, numbers",
            {"faces": faces, "tag": model_tag},
        )


def test_a_stopped_worker_gives_back_what_it_did_not_begin(
    worker_stack: WorkerStack, start_worker: StartWorker
) -> None:
    rng = np.random.default_rng(7)
    slow = encoded(rng.integers(0, 255, (3000, 3000, 3), dtype=np.uint8))
    jobs = [worker_stack.submit(slow, JobRequest(kind=JobKind.DETECT)) for _ in range(6)]
    worker = start_worker()
    wait_until(lambda: worker_stack.results() >= 1, START_SECONDS, "one result")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(60) == 0
    done = worker_stack.results()
    assert 1 <= done < len(jobs)
    # At once, not after their visibility timeout.
    assert worker_stack.waiting(worker_stack.names.req_queue) == (len(jobs) - done, 0)
    assert len(worker_stack.announced()) == done


def test_a_killed_worker_changes_nothing(
    worker_stack: WorkerStack, start_worker: StartWorker, gallery: Gallery
) -> None:
    request = JobRequest(
        kind=JobKind.ENROLL, params=JobParams(person_name="Eileen Collins", force=True)
    )
    photo = encoded(public_photo("astronaut"))
    jobs = [worker_stack.submit(photo, request) for _ in range(8)]
    first = start_worker()
    wait_until(lambda: worker_stack.results() >= 2, START_SECONDS, "two results")
    first.end()
    before = {job: worker_stack.result(job) for job in worker_stack.finished()}
    start_worker()
    wait_until(
        lambda: (
            worker_stack.results() == len(jobs)
            and worker_stack.waiting(worker_stack.names.req_queue) == (0, 0)
        ),
        START_SECONDS,
        "all results",
    )
    people = gallery.list_people("default", "default").people
    assert len(people) == len(jobs), "each enrolment made exactly one person"
    assert {person.faces for person in people} == {1}
    assert {job: worker_stack.result(job) for job in before} == before
