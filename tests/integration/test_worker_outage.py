"""What a worker does while a dependency is away: photos wait in its hands, and are not burnt."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from faces.contracts.jobs import ContentType, JobRequest
from faces.gallery.database import connect
from faces.gallery.migrations import migrate
from local_stack.postgres import PostgresService
from local_stack.settings import free_ports
from tests.chaos.faults import Proxy
from tests.fixtures.fake_workers import StartFakeWorker
from tests.fixtures.photos import encoded
from tests.fixtures.worker_stack import WorkerStack

SECONDS = 60.0
JOBS = 12
VISIBILITY_SECONDS = 6


@pytest.fixture
def own_server() -> Iterator[PostgresService]:
    """A server that the test may stop; the shared one is others', too."""
    folder = Path(tempfile.mkdtemp(prefix="faces-tests-", dir="/tmp"))
    folder.chmod(0o711)
    (port,) = free_ports(1)
    server = PostgresService(port, folder / "postgres", folder / "log", "secret")
    server.start()
    try:
        with psycopg.connect(server.admin_url, autocommit=True) as admin:
            admin.execute("CREATE EXTENSION IF NOT EXISTS vector")
        with connect(server.url) as connection:
            migrate(connection)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def said(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def test_a_database_that_goes_away_burns_no_messages(
    worker_stack: WorkerStack,
    start_fake_worker: StartFakeWorker,
    own_server: PostgresService,
    tmp_path: Path,
) -> None:
    photo = encoded(np.full((64, 64, 3), (9, 99, 9), dtype=np.uint8), "PNG")
    request = JobRequest(content_type=ContentType.PNG)
    start_fake_worker(
        DATABASE_URL=own_server.url, WORKER_VISIBILITY_SECONDS=str(VISIBILITY_SECONDS)
    )
    log = tmp_path / "0.log"
    first = worker_stack.submit(photo, request)
    wait_until(lambda: worker_stack.finished() == [first], "a result while all is well")

    own_server.stop()
    jobs = [worker_stack.submit(photo, request) for _ in range(JOBS)]
    queue = worker_stack.names.req_queue
    wait_until(
        lambda: any(line.get("state") == "open" for line in said(log)), "the breaker is open"
    )
    # Twice as long as a message stays hidden by itself: who lets go would burn receives.
    gone = time.monotonic()
    while time.monotonic() - gone < 2 * VISIBILITY_SECONDS:
        visible, hidden = worker_stack.waiting(queue)
        assert visible + hidden == JOBS, "every message is still there"
        time.sleep(0.5)
    assert worker_stack.finished() == [first]

    own_server.start()
    wait_until(lambda: worker_stack.results() == JOBS + 1, "all results once it is back")
    assert {worker_stack.result(job).state for job in jobs} == {"succeeded"}
    wait_until(lambda: worker_stack.waiting(queue) == (0, 0), "nothing is left")
    assert worker_stack.waiting(worker_stack.names.req_dlq) == (0, 0)
    states = [line["state"] for line in said(log) if line.get("breaker") == "PostgreSQL"]
    assert states[0] == "open"
    assert states[-1] == "closed"
    ended = [line for line in said(log) if line["message"] == "job ended"]
    assert len(ended) == JOBS + 1, "each message was worked off once"
    assert {line["receives"] for line in ended} == {1}, "no receive was burnt"


@pytest.fixture
def proxies(aws_endpoint: str) -> Iterator[dict[str, Proxy]]:
    """What a worker sees of S3 and of SQS, each of which can be taken away."""
    port = int(aws_endpoint.rsplit(":", 1)[1])
    with Proxy(port) as s3, Proxy(port) as sqs:
        yield {"S3": s3, "SQS": sqs}


def test_s3_and_sqs_that_go_away_burn_no_messages(
    worker_stack: WorkerStack,
    start_fake_worker: StartFakeWorker,
    proxies: dict[str, Proxy],
    tmp_path: Path,
) -> None:
    photo = encoded(np.full((64, 64, 3), (9, 99, 9), dtype=np.uint8), "PNG")
    request = JobRequest(content_type=ContentType.PNG)
    start_fake_worker(
        AWS_ENDPOINT_URL_S3=proxies["S3"].url,
        AWS_ENDPOINT_URL_SQS=proxies["SQS"].url,
        WORKER_VISIBILITY_SECONDS=str(VISIBILITY_SECONDS),
    )
    log = tmp_path / "0.log"

    def states(name: str) -> list[object]:
        return [line["state"] for line in said(log) if line.get("breaker") == name]

    jobs = [worker_stack.submit(photo, request)]
    wait_until(lambda: worker_stack.results() == 1, "a result while all is well")

    def outage(name: str, proxy: Proxy) -> None:
        proxy.down = True
        proxy.cut_all()
        jobs.extend(worker_stack.submit(photo, request) for _ in range(JOBS))
        # Open again after a probe that failed, a second after it opened.
        wait_until(lambda: states(name)[:2] == ["open", "open"], f"{name} was probed")
        time.sleep(VISIBILITY_SECONDS)
        assert worker_stack.results() == len(jobs) - JOBS
        proxy.down = False
        wait_until(lambda: worker_stack.results() == len(jobs), "all results once it is back")
        wait_until(lambda: states(name)[-1:] == ["closed"], "the breaker is closed")

    for name, proxy in proxies.items():
        outage(name, proxy)

    assert {worker_stack.result(job).state for job in jobs} == {"succeeded"}
    queue = worker_stack.names.req_queue
    wait_until(lambda: worker_stack.waiting(queue) == (0, 0), "nothing is left")
    assert worker_stack.waiting(worker_stack.names.req_dlq) == (0, 0)
    ended = [line for line in said(log) if line["message"] == "job ended"]
    assert {line["job_id"] for line in ended} == set(jobs)
    # Without SQS nobody can keep a message hidden; it then comes once more.
    assert max(int(str(line["receives"])) for line in ended) <= 2
