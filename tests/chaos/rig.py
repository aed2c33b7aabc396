"""The way of a photo from upload to announcement, with faults at every joint.

Real are S3 and SQS (emulated, behind fault-injecting proxies), PostgreSQL, the stack's own
queues with their limits, and worker processes, whose networks alone are made up. What runs
in Lambdas runs here in threads, which may die before they delete a message.
"""

import contextlib
import json
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from chalice_app.aws import S3Objects, SqsQueues
from chalice_app.redrive import Redrive
from chalice_app.results import Results
from chalice_app.rounds import ENOUGH_ATTEMPTS
from faces.contracts.ids import new_job_id
from faces.contracts.jobs import ContentType, JobKind, JobMessage, JobParams, JobRequest
from faces.contracts.names import (
    DEAD_LETTER_PREFIX,
    RESULT_PREFIX,
    StackNames,
    result_key,
    upload_key,
)
from faces.contracts.results import JobResult
from faces.contracts.settings import ApiSettings
from local_stack.cloudformation import deploy_infra
from local_stack.emulator import endpoint
from tests.chaos.accounting import SUCCEEDED, Ledger, end_of
from tests.chaos.faults import Proxy
from tests.chaos.fleet import Fleet, worker_environ
from tests.chaos.lambdas import Functions, client, now
from tests.chaos.photos import Harm, photo
from tests.chaos.place import Place

ROOT = Path(__file__).resolve().parents[2]
SECRET = "thirty-two characters, and no secret"
KINDS = (JobKind.IDENTIFY, JobKind.ENROLL, JobKind.DETECT)


def eventually(look: Callable[[], bool], seconds: float) -> bool:
    """Return whether `look` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


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
        self.ledger = Ledger(events=Counter(), requests=Counter(), told={})
        self._etags: dict[str, str] = {}
        self._wanted = workers
        self._lambda_deaths = lambda_deaths
        self.receives = receives
        self._environ = dict(environ or {})
        self._lock = threading.RLock()
        self._numbers = self.random.randrange(1 << 30)
        self._stack = contextlib.ExitStack()
        self._clean_s3 = client("s3", endpoint(place.emulator_port))
        self._clean_sqs = client("sqs", endpoint(place.emulator_port))

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
            if self.receives is not None:
                self._give_up_after(self.receives)
            # Of fewer receives the first is not on record either.
            enough = ENOUGH_ATTEMPTS if self.receives is None else self.receives - 1
            functions = Functions(
                self._settings(),
                self.ledger,
                self.s3.url,
                self.sqs.url,
                enough=enough,
                deaths=self._lambda_deaths,
                chosen=random.Random(self.random.random()),
            )
            stack.callback(functions.stop)
            functions.start()
            logs = f"{self.place.folder}/{self.names.stack}-worker"
            database = self.place.postgres.url.replace(
                f"127.0.0.1:{self.place.postgres_port}", f"127.0.0.1:{self.database.port}"
            )
            environ = worker_environ(self.names.stack, self.s3.url, self.sqs.url, database)
            self._fleet = Fleet(self._wanted, environ | self._environ, logs, self.random)
            stack.callback(self._fleet.stop)
            self._fleet.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

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
        job_id = new_job_id(SECRET.encode(), "default", now())
        params = JobParams()
        if kind is JobKind.ENROLL:
            params = JobParams(person_name=job_id, force=True)
            self.ledger.enrolments.add(job_id)
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
            assert self.ledger.requests is not None
            self.ledger.requests[job] += 1
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
            clock=now,
            tenant="default",
            sees_all=True,
        ).redrive(job)

    # ------------------------------------------------------------ what is done to it

    def workers(self) -> list["subprocess.Popen[bytes]"]:
        """Return the worker processes that run."""
        return self._fleet.alive()

    def kill_worker(self) -> bool:
        """Kill a random worker; return whether there was one."""
        return self._fleet.kill_one()

    @property
    def kills(self) -> int:
        """How many workers were killed."""
        return self._fleet.kills

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
                    self.ledger.results[job] = end_of(self._result(job))
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

    def _settings(self) -> ApiSettings:
        return ApiSettings.load(
            {
                "FACES_STACK": self.names.stack,
                "FACES_ID_SECRET": SECRET,
                "DATABASE_URL": self.place.postgres.url,
            }
        )

    def _results(self, s3: Any, queues: Any) -> Results:
        return Results(S3Objects(s3), queues, self.names, now)

    def _listed(self, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
        pages = self._clean_s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix
        )
        for page in pages:
            for item in page.get("Contents", []):
                yield item["Key"], item["ETag"]

    def ended_at(self, job: str) -> datetime:
        """Return when a job's result was made."""
        return self._result(job).finished_at

    def _result(self, job: str) -> JobResult:
        found = self._clean_s3.get_object(Bucket=self.names.out_bucket, Key=result_key(job))
        return JobResult.model_validate_json(found["Body"].read())
