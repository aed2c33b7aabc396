"""The way of a photo from upload to announcement, with faults at every joint.

Real are S3 and SQS (emulated, behind fault-injecting proxies), PostgreSQL, the stack's own
queues with their limits, and worker processes, whose networks alone are made up. What runs
in Lambdas runs here in threads, which may die before they delete a message.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from chalice_app.aws import S3Objects, SqsQueues
from chalice_app.batch import BatchFailed, Received, work_through
from chalice_app.dead_letters import (
    REASON_INTAKE,
    REASON_WORKER,
    DeadLetters,
    job_of_request,
    jobs_of_notification,
)
from chalice_app.dependencies import S3_CLIENT, SQS_CLIENT
from chalice_app.intake import Intake
from chalice_app.redrive import Redrive
from chalice_app.repeats import Repeats
from chalice_app.results import Results
from chalice_app.rounds import ENOUGH_ATTEMPTS, Rounds
from chalice_app.s3_events import created_objects, upload_job_id
from faces.cache.cache import NoCache
from faces.contracts.ids import new_job_id
from faces.contracts.jobs import ContentType, JobDone, JobKind, JobMessage, JobParams, JobRequest
from faces.contracts.names import (
    DEAD_LETTER_PREFIX,
    RESULT_PREFIX,
    StackNames,
    result_key,
    upload_key,
)
from faces.contracts.results import JobResult
from faces.contracts.settings import ApiSettings
from faces.gallery.database import connect
from faces.gallery.migrations import migrate
from local_stack.cloudformation import deploy_infra
from local_stack.emulator import REGION, ROOT_CREDENTIALS, emulator_service, endpoint, root_session
from local_stack.postgres import PostgresService
from local_stack.settings import free_ports
from tests.chaos.accounting import SUCCEEDED, Ledger
from tests.chaos.faults import Proxy
from tests.chaos.photos import Harm, photo

ROOT = Path(__file__).resolve().parents[2]
SECRET = "thirty-two characters, and no secret"
# A twelfth of the real ones; less, and a busy machine takes the living for the dead.
VISIBILITY_SECONDS = 6
LAMBDA_VISIBILITY_SECONDS = 15
KINDS = (JobKind.IDENTIFY, JobKind.ENROLL, JobKind.DETECT)


def eventually(look: Callable[[], bool], seconds: float) -> bool:
    """Return whether `look` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Place:
    """Emulated AWS and a database, for many runs one after the other.

    Parameters
    ----------
    folder : for everything that is written.
    disk : a small file system of its own, for the database.
    """

    def __init__(self, folder: Path, disk: Path | None = None) -> None:
        self.folder = folder
        self.disk = disk
        emulator_port, postgres_port = free_ports(2)
        self.emulator_port = emulator_port
        self.emulator = emulator_service(
            emulator_port, "http://127.0.0.1:9", folder, folder / "emulator.log"
        )
        self.postgres = PostgresService(
            postgres_port, (disk or folder) / "postgres", folder / "postgres.log", "secret"
        )
        self.postgres_port = postgres_port

    def __enter__(self) -> "Place":
        try:
            self.emulator.start()
            self.postgres.start()
            with connect(self.postgres.url) as connection:
                migrate(connection)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.postgres.stop()
        self.emulator.stop()


class Lambda:
    """A function behind a queue: threads that receive and handle batches.

    Parameters
    ----------
    die : returns whether this invocation ends, as if killed, before it deletes anything.
    """

    def __init__(
        self,
        rig: "Rig",
        queue: str,
        handle: Callable[[Received], None],
        die: Callable[[], bool],
        threads: int = 2,
    ) -> None:
        self._rig, self._queue, self._handle, self._die = rig, queue, handle, die
        self._threads = [
            threading.Thread(target=self._run, name=queue, daemon=True) for _ in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        sqs = self._rig.client("sqs", self._rig.sqs.url)
        queues = SqsQueues(sqs)
        while not self._rig.over.is_set():
            try:
                messages = sqs.receive_message(
                    QueueUrl=self._rig.urls[self._queue],
                    MaxNumberOfMessages=10,
                    WaitTimeSeconds=1,
                    VisibilityTimeout=LAMBDA_VISIBILITY_SECONDS,
                    MessageSystemAttributeNames=["All"],
                ).get("Messages", [])
                if not messages:
                    continue
                records = [_record(message) for message in messages]
                with contextlib.suppress(BatchFailed):
                    work_through(records, self._handle, lambda h: queues.delete(self._queue, h))
                    if not self._die():
                        queues.delete(self._queue, [each["receiptHandle"] for each in records])
            except Exception:  # noqa: BLE001 - as Lambda does
                time.sleep(0.1)


def _record(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
    }


class Counting:
    """`Queues` that count the jobs that are sent to the workers, and those put back."""

    def __init__(
        self, queues: SqsQueues, queue: str, counter: Counter[str], again: Counter[str]
    ) -> None:
        self._queues, self._queue, self._counter, self._again = queues, queue, counter, again

    def send(self, queue: str, body: str, *, delay_seconds: int = 0) -> None:
        self._queues.send(queue, body, delay_seconds=delay_seconds)
        if queue == self._queue:
            job = JobMessage.model_validate_json(body)
            self._counter[job.job_id] += 1
            if job.rounds:
                self._again[job.job_id] += 1

    def delete(self, queue: str, receipt_handles: Any) -> None:
        self._queues.delete(queue, receipt_handles)

    def check(self, queue: str) -> None:
        self._queues.check(queue)


class Rig:
    """One run: a stack of its own, its Lambdas, workers, and a ledger of what was seen.

    Parameters
    ----------
    workers : worker processes; one that ends is followed by another.
    lambda_deaths : share of the invocations that die before they delete their messages.
    receives : after so many a job is given up; as the template says when left out.
    environ : of the workers, beside what they need.
    """

    def __init__(
        self,
        place: Place,
        name: str,
        *,
        seed: int = 0,
        workers: int = 2,
        lambda_deaths: float = 0.0,
        receives: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.place = place
        self.random = random.Random(seed)
        self.names = StackNames(name)
        self.s3, self.sqs = Proxy(place.emulator_port), Proxy(place.emulator_port)
        self.database = Proxy(place.postgres_port, http=False)
        self.urls: dict[str, str] = {}
        self.over = threading.Event()
        self.ledger = Ledger(events=Counter(), requests=Counter(), told={})
        self.kills = 0
        self._etags: dict[str, str] = {}
        self._wanted = workers
        self._lambda_deaths = lambda_deaths
        self._receives = receives
        self._environ = dict(environ or {})
        self._fleet: list[subprocess.Popen[bytes]] = []
        self._started = 0
        self._lock = threading.RLock()
        self._numbers = self.random.randrange(1 << 30)
        self._stack = contextlib.ExitStack()
        self._clean_s3 = self.client("s3", endpoint(place.emulator_port))
        self._clean_sqs = self.client("sqs", endpoint(place.emulator_port))

    def __enter__(self) -> "Rig":
        with contextlib.ExitStack() as stack:
            for proxy in (self.s3, self.sqs, self.database):
                stack.enter_context(proxy)
            deploy_infra(
                endpoint_url=endpoint(self.place.emulator_port),
                stack=self.names.stack,
                parameters={"WorkerImageId": "ami-12c6146b"},
            )
            for queue in self._queues:
                self.urls[queue] = self._clean_sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            if self._receives is not None:
                self._give_up_after(self._receives)
            lambdas = self._lambdas()
            for function in lambdas:
                function.start()
                stack.callback(function.join)
            keeper = threading.Thread(target=self._keep_fleet, daemon=True)
            keeper.start()
            stack.callback(keeper.join)
            stack.callback(self.over.set)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for process in self._fleet:
            process.kill()
            process.wait()

    def _give_up_after(self, receives: int) -> None:
        url = self.urls[self.names.req_queue]
        found = self._clean_sqs.get_queue_attributes(
            QueueUrl=url, AttributeNames=["RedrivePolicy"]
        )["Attributes"]
        policy = {**json.loads(found["RedrivePolicy"]), "maxReceiveCount": receives}
        self._clean_sqs.set_queue_attributes(
            QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)}
        )

    # ------------------------------------------------------------ what goes in

    def send(self, count: int, harm: Harm | None = None, *, expect: str = SUCCEEDED) -> list[str]:
        """Upload photos of all kinds of jobs; return the jobs' ids."""
        return [self._upload(harm, expect) for _ in range(count)]

    def _upload(self, harm: Harm | None, expect: str) -> str:
        self._numbers += 1
        kind = KINDS[self._numbers % len(KINDS)] if harm is None else JobKind.DETECT
        job_id = new_job_id(SECRET.encode(), "default", datetime.now(UTC))
        params = JobParams()
        if kind is JobKind.ENROLL:
            params = JobParams(person_name=job_id, force=True)
        request = JobRequest(kind=kind, params=params, content_type=ContentType.PNG)
        self.ledger.uploads[job_id] = expect
        self._clean_s3.put_object(
            Bucket=self.names.in_bucket,
            Key=upload_key(job_id),
            Body=photo(self._numbers, harm),
            ContentType="image/png",
            Metadata=request.to_metadata(),
        )
        return job_id

    def notify_again(self, jobs: list[str]) -> None:
        """Tell intake of uploads once more, in another order, several in one message."""
        shuffled = self.random.sample(jobs, len(jobs))
        for start in range(0, len(shuffled), 3):
            records = [
                {
                    "eventName": "ObjectCreated:Post",
                    "s3": {
                        "bucket": {"name": self.names.in_bucket},
                        "object": {"key": upload_key(job), "size": 1},
                    },
                }
                for job in shuffled[start : start + 3]
            ]
            body = json.dumps({"Records": records})
            url = self.urls[self.names.uploads_queue]
            self._clean_sqs.send_message(QueueUrl=url, MessageBody=body)

    def request_again(self, jobs: list[str]) -> None:
        """Put jobs on the req-queue once more, in another order."""
        for job in self.random.sample(jobs, len(jobs)):
            message = JobMessage(job_id=job, key=upload_key(job), size=1)
            self._clean_sqs.send_message(
                QueueUrl=self.urls[self.names.req_queue], MessageBody=message.model_dump_json()
            )

    def cure(self, job: str) -> None:
        """Put a harmless photo in the place of one that does harm."""
        where = {"Bucket": self.names.in_bucket, "Key": upload_key(job)}
        before = self._clean_s3.head_object(**where)
        self.ledger.uploads[job] = SUCCEEDED
        self._clean_s3.put_object(
            **where, Body=photo(0), ContentType="image/png", Metadata=before["Metadata"]
        )

    def redrive(self, job: str) -> None:
        """Put a job that was given up on its way again, as an operator does."""
        with self._lock:
            for seen in (self._etags, self.ledger.results, self.ledger.told or {}):
                seen.pop(job, None)
        Redrive(
            settings=self._settings(),
            objects=S3Objects(self._clean_s3),
            queues=SqsQueues(self._clean_sqs),
            results=self._results(self._clean_s3, SqsQueues(self._clean_sqs)),
            clock=lambda: datetime.now(UTC),
            tenant="default",
            sees_all=True,
        ).redrive(job)

    # ------------------------------------------------------------ what is done to it

    def workers(self) -> list["subprocess.Popen[bytes]"]:
        """Return the worker processes that run."""
        with self._lock:
            return [process for process in self._fleet if process.poll() is None]

    def kill_worker(self) -> bool:
        """Kill a random worker that can work; return whether there was one."""
        alive = self.workers()
        if not alive:
            return False
        self.random.choice(alive).send_signal(signal.SIGKILL)
        self.kills += 1
        return True

    def _keep_fleet(self) -> None:
        while not self.over.wait(0.05):
            with self._lock:
                self._fleet = [process for process in self._fleet if process.poll() is None]
                while len(self._fleet) < self._wanted and not self.over.is_set():
                    self._fleet.append(self._start_worker())

    def _start_worker(self) -> "subprocess.Popen[bytes]":
        self._started += 1
        host = f"127.0.0.1:{self.database.port}"
        environ = {
            "PATH": os.environ["PATH"],
            **ROOT_CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": self.s3.url,
            "AWS_ENDPOINT_URL_SQS": self.sqs.url,
            "DATABASE_URL": self.place.postgres.url.replace(
                f"127.0.0.1:{self.place.postgres_port}", host
            ),
            "FACES_STACK": self.names.stack,
            "WORKER_ID": f"i-{self._started}",
            "WORKER_POLL_SECONDS": "1",
            "WORKER_VISIBILITY_SECONDS": str(VISIBILITY_SECONDS),
            "WORKER_IDLE_SECONDS": "3600",
            "CHAOS_DETECT_SECONDS": "0.02",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **self._environ,
        }
        log = self.place.folder / f"{self.names.stack}-worker-{self._started}.log"
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.worker"],
                env=environ,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    # ------------------------------------------------------------ what comes out

    def settle(self, seconds: float) -> float:
        """Wait until every upload has ended and nothing remains; return how long it took."""
        began = time.monotonic()
        eventually(lambda: self.ended() and not any(self.waiting().values()), seconds)
        return time.monotonic() - began

    def ended(self) -> bool:
        """Whether every upload has a result, and all that remains was told."""
        self.look()
        ledger = self.ledger
        return set(ledger.uploads) <= set(ledger.results) and set(ledger.results) <= set(
            ledger.told or {}
        )

    def begun(self) -> bool:
        """Whether some uploads have ended."""
        self.look()
        return bool(self.ledger.results)

    def moved(self) -> bool:
        """Whether more uploads have ended than at the last look."""
        before = len(self.ledger.results)
        self.look()
        return len(self.ledger.results) > before

    def look(self) -> None:
        """Read what is stored: new results, and whether an older one changed."""
        for key, etag in self._listed(self.names.out_bucket, RESULT_PREFIX):
            job = key.removeprefix(RESULT_PREFIX).removesuffix(".json")
            with self._lock:
                if job not in self._etags:
                    self._etags[job] = etag
                    self.ledger.results[job] = _end_of(self._result(job))
                elif self._etags[job] != etag:
                    self.ledger.rewritten.add(job)

    def waiting(self) -> dict[str, int]:
        """Return the messages on each queue, those in hand and delayed ones included."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        found = {}
        for queue, url in self.urls.items():
            counts = self._clean_sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
            found[queue] = sum(int(counts["Attributes"].get(name, 0)) for name in names)
        return found

    def close_books(self) -> Ledger:
        """Return the ledger, with what is only looked up at the end."""
        self.look()
        ledger = self.ledger
        ledger.dead_letters = {
            key.removeprefix(DEAD_LETTER_PREFIX).removesuffix(".json")
            for key, _ in self._listed(self.names.out_bucket, DEAD_LETTER_PREFIX)
        }
        with psycopg.connect(self.place.postgres.url) as connection:
            rows = connection.execute(
                "SELECT people.name, count(faces.*) FROM people JOIN faces USING (person_id) "
                "GROUP BY people.person_id, people.name"
            ).fetchall()
        ledger.enrolled = Counter()
        for name, faces in rows:
            if name in ledger.uploads:
                ledger.enrolled[name] += faces
        ledger.left = {queue: count for queue, count in self.waiting().items() if count}
        return ledger

    # ------------------------------------------------------------ the parts

    @property
    def _queues(self) -> tuple[str, ...]:
        names = self.names
        return (
            names.uploads_queue,
            names.uploads_dlq,
            names.req_queue,
            names.req_dlq,
            names.resp_queue,
            names.resp_dlq,
        )

    def client(self, service: Any, url: str) -> Any:
        """Return a client as the Lambdas make theirs."""
        config = S3_CLIENT if service == "s3" else SQS_CLIENT
        return root_session().client(service, endpoint_url=url, config=config)

    def _settings(self) -> ApiSettings:
        return ApiSettings.load(
            {
                "FACES_STACK": self.names.stack,
                "FACES_ID_SECRET": SECRET,
                "DATABASE_URL": self.place.postgres.url,
            }
        )

    def _results(self, s3: Any, queues: Any) -> Results:
        return Results(S3Objects(s3), queues, self.names, lambda: datetime.now(UTC))

    def _lambdas(self) -> list[Lambda]:
        s3 = self.client("s3", self.s3.url)
        queues = SqsQueues(self.client("sqs", self.sqs.url))
        assert self.ledger.requests is not None
        counting = Counting(
            queues, self.names.req_queue, self.ledger.requests, self.ledger.put_back
        )
        results = self._results(s3, queues)

        def no_gallery() -> Any:
            raise AssertionError("no cache, no repeats")

        repeats = Repeats(
            wanted=False, cache=NoCache(), gallery=no_gallery, results=results,
            clock=lambda: datetime.now(UTC),
        )  # fmt: skip
        intake = Intake(self._settings(), S3Objects(s3), counting, results, repeats)

        def letters(
            queue: str,
            reason: str,
            job_ids: Callable[[str], list[str]],
            rounds: Rounds | None = None,
        ) -> DeadLetters:
            return DeadLetters(
                queue,
                reason,
                job_ids,
                objects=S3Objects(s3),
                results=results,
                names=self.names,
                clock=lambda: datetime.now(UTC),
                rounds=rounds,
            )

        # Of fewer receives the first is not on record either.
        enough = ENOUGH_ATTEMPTS if self._receives is None else self._receives - 1
        rounds = Rounds(S3Objects(s3), counting, results, self.names, enough)
        requests = letters(self.names.req_dlq, REASON_WORKER, job_of_request, rounds)
        uploads = letters(self.names.uploads_dlq, REASON_INTAKE, jobs_of_notification)
        chosen = random.Random(self.random.random())

        def die() -> bool:
            return chosen.random() < self._lambda_deaths

        def take_in(message: Received) -> None:
            assert self.ledger.events is not None
            for created in created_objects(message.body):
                self.ledger.events[upload_job_id(created.key) or "?"] += 1
            intake.handle(message)

        return [
            Lambda(self, self.names.uploads_queue, take_in, die),
            Lambda(self, self.names.req_dlq, requests.handle, die, threads=1),
            Lambda(self, self.names.uploads_dlq, uploads.handle, die, threads=1),
            Lambda(self, self.names.resp_queue, self._hear, die),
        ]

    def _hear(self, message: Received) -> None:
        done = JobDone.model_validate_json(message.body)
        with self._lock:
            assert self.ledger.told is not None
            end = done.error_code.value if done.error_code else done.state.value
            self.ledger.told.setdefault(done.job_id, Counter())[end] += 1

    def _listed(self, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
        pages = self._clean_s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix
        )
        for page in pages:
            for item in page.get("Contents", []):
                yield item["Key"], item["ETag"]

    def _result(self, job: str) -> JobResult:
        found = self._clean_s3.get_object(Bucket=self.names.out_bucket, Key=result_key(job))
        return JobResult.model_validate_json(found["Body"].read())


def _end_of(result: JobResult) -> str:
    return result.error.code.value if result.error else result.state
