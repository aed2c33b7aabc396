"""What runs in Lambdas, here in threads that may die before they delete a message."""

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

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
from chalice_app.repeats import Repeats
from chalice_app.results import Results
from chalice_app.rounds import Rounds
from chalice_app.s3_events import created_objects, upload_job_id
from faces.cache.cache import NoCache
from faces.contracts.jobs import JobDone, JobMessage
from faces.contracts.settings import ApiSettings
from local_stack.emulator import root_session
from tests.chaos.accounting import Ledger

# A twelfth of the real one.
LAMBDA_VISIBILITY_SECONDS = 15


def client(service: Any, url: str) -> Any:
    """Return a client as the Lambdas make theirs."""
    config = S3_CLIENT if service == "s3" else SQS_CLIENT
    return root_session().client(service, endpoint_url=url, config=config)


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


class Lambda:
    """A function behind a queue: threads that receive and handle batches.

    Parameters
    ----------
    endpoint_url : of SQS.
    queue : its name.
    die : returns whether this invocation ends, as if killed, before it deletes anything.
    """

    def __init__(
        self,
        endpoint_url: str,
        queue: str,
        handle: Callable[[Received], None],
        die: Callable[[], bool],
        threads: int = 2,
    ) -> None:
        self._url, self._queue, self._handle, self._die = endpoint_url, queue, handle, die
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=queue, daemon=True) for _ in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        sqs = client("sqs", self._url)
        queues = SqsQueues(sqs)
        address = ""
        while not self._over.is_set():
            try:
                address = address or sqs.get_queue_url(QueueName=self._queue)["QueueUrl"]
                messages = sqs.receive_message(
                    QueueUrl=address,
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
        # Before: the answer may be lost though the message was taken.
        if queue == self._queue:
            job = JobMessage.model_validate_json(body)
            self._counter[job.job_id] += 1
            if job.rounds:
                self._again[job.job_id] += 1
        self._queues.send(queue, body, delay_seconds=delay_seconds)

    def delete(self, queue: str, receipt_handles: Any) -> None:
        self._queues.delete(queue, receipt_handles)

    def check(self, queue: str) -> None:
        self._queues.check(queue)


class Functions:
    """The stack's functions, and what the ledger is told by them.

    Parameters
    ----------
    s3_url, sqs_url : where the services are.
    enough : with so many attempts a photo is given up.
    deaths : share of the invocations that die before they delete their messages.
    chosen : says which.
    """

    def __init__(
        self,
        settings: ApiSettings,
        ledger: Ledger,
        s3_url: str,
        sqs_url: str,
        *,
        enough: int,
        deaths: float,
        chosen: random.Random,
    ) -> None:
        self._names = settings.names
        self._ledger = ledger
        self._lock = threading.Lock()
        self._objects = S3Objects(client("s3", s3_url))
        queues = SqsQueues(client("sqs", sqs_url))
        assert ledger.requests is not None
        counting = Counting(queues, self._names.req_queue, ledger.requests, ledger.put_back)
        self._results = Results(self._objects, queues, self._names, now)

        def no_gallery() -> Any:
            raise AssertionError("no cache, no repeats")

        repeats = Repeats(
            wanted=False, cache=NoCache(), gallery=no_gallery, results=self._results, clock=now
        )
        self._intake = Intake(settings, self._objects, counting, self._results, repeats)
        rounds = Rounds(self._objects, counting, self._results, self._names, enough)
        requests = self._letters(self._names.req_dlq, REASON_WORKER, job_of_request, rounds)
        uploads = self._letters(self._names.uploads_dlq, REASON_INTAKE, jobs_of_notification)

        def die() -> bool:
            return chosen.random() < deaths

        self._lambdas = [
            Lambda(sqs_url, self._names.uploads_queue, self._take_in, die),
            Lambda(sqs_url, self._names.req_dlq, requests.handle, die, threads=1),
            Lambda(sqs_url, self._names.uploads_dlq, uploads.handle, die, threads=1),
            Lambda(sqs_url, self._names.resp_queue, self._hear, die),
        ]

    def start(self) -> None:
        """Begin to receive."""
        for function in self._lambdas:
            function.start()

    def stop(self) -> None:
        """End after what is in hand."""
        for function in self._lambdas:
            function.stop()

    def _letters(
        self,
        queue: str,
        reason: str,
        job_ids: Callable[[str], list[str]],
        rounds: Rounds | None = None,
    ) -> DeadLetters:
        return DeadLetters(
            queue,
            reason,
            job_ids,
            objects=self._objects,
            results=self._results,
            names=self._names,
            clock=now,
            rounds=rounds,
        )

    def _take_in(self, message: Received) -> None:
        assert self._ledger.events is not None
        for created in created_objects(message.body):
            self._ledger.events[upload_job_id(created.key) or "?"] += 1
        self._intake.handle(message)

    def _hear(self, message: Received) -> None:
        done = JobDone.model_validate_json(message.body)
        with self._lock:
            assert self._ledger.told is not None
            end = done.error_code.value if done.error_code else done.state.value
            self._ledger.told.setdefault(done.job_id, Counter())[end] += 1
