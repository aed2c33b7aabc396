"""A whole stack is attacked, and its parts are killed while photos are on their way."""

import base64
import contextlib
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psutil
import pytest

from faces.client import Client, Photo
from faces.client.errors import ApiError, JobFailed
from faces.client.retry import RetryPolicy
from faces.contracts.ids import new_id
from faces.contracts.jobs import ContentType, JobKind, JobParams, JobState
from faces.contracts.keys import Scope
from faces.contracts.names import UPLOAD_PREFIX
from local_stack.stack import SCALER_FUNCTION, STAGE, LocalStack
from tests.chaos.accounting import SUCCEEDED
from tests.chaos.photos import photo
from tests.e2e.stack_books import SECONDS, answered, aws, keys, long_form, settled
from tests.e2e.waiting import eventually
from tests.load.stack import CheapStack, settings

PATIENT = RetryPolicy(tries=40, max_retry_after_seconds=120)
PHOTOS = 60
EMULATOR = "AWS emulator"
RESTARTED = ("Valkey", "database")

pytestmark = pytest.mark.timeout(900)


class Receiver(ThreadingHTTPServer):
    """Takes callbacks and counts them by job."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/ended"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        found = re.search(r'"job_id":"([0-9a-f-]{36})"', body)
        assert found
        self.server.got[found[1]] += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack of its own, whose workers' networks are made up."""
    chosen = settings(
        tmp_path_factory.mktemp("chaos"),
        FACES_STACK="faces-chaos",
        FACES_CALLBACK_ALLOW="127.0.0.1/32",
        SCALER_MIN_INSTANCES="1",
        SCALER_MAX_INSTANCES="2",
        WORKER_VISIBILITY_SECONDS="5",
        WORKER_POLL_SECONDS="1",
    )
    with CheapStack(chosen) as running:
        hurry(running)
        yield running


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def client(stack: LocalStack) -> Iterator[Client]:
    with Client(stack.url, stack.api_key, retry=PATIENT) as made:
        yield made


def a_photo(number: int) -> Photo:
    return Photo(photo(number), ContentType.PNG, f"{number}.png")


def said_by_lambdas(stack: LocalStack) -> dict[str, str]:
    """Return what stands in the logs of each function, which are no files."""
    client, said = aws(stack, "logs"), {}
    for group in client.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=name)
        said[name] = "\n".join(event["message"] for page in pages for event in page["events"])
    assert any(f"{stack.settings.names.stack}-{STAGE}" in name for name in said)
    return said


def hurry(stack: LocalStack) -> None:
    """Have what dead Lambdas held delivered again soon, not only after minutes."""
    sqs, names = aws(stack, "sqs"), stack.settings.names
    for queue in (names.uploads_queue, names.resp_queue, names.webhooks_queue):
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "10"})


def opened(stack: LocalStack, **asked: str) -> Any:
    """Open a job; return the answer's document."""
    answer = httpx.post(
        f"{stack.url}/v1/jobs",
        json={"content_type": "image/png", **asked},
        headers={"X-Api-Key": stack.api_key},
        timeout=60,
    )
    answer.raise_for_status()
    return answer.json()


def uploaded(made: Any, number: int) -> None:
    upload = made["upload"]
    file = {"file": ("a.png", photo(number))}
    httpx.post(upload["url"], data=upload["fields"], files=file, timeout=30).raise_for_status()


def test_a_form_that_was_changed_opens_nothing(stack: LocalStack) -> None:
    forged: dict[str, dict[str, str | None]] = {
        "another job": {"key": UPLOAD_PREFIX + "01a1fe63-16fc-7f90-95d7-3cd4a5b32f43"},
        "another folder": {"key": "results/x.json"},
        "a path": {"key": UPLOAD_PREFIX + "../results/x"},
        "another type": {"Content-Type": "text/html"},
        "another tenant": {"x-amz-meta-tenant": "somebody"},
        "another collection": {"x-amz-meta-collection": "staff"},
        "another kind": {"x-amz-meta-kind": "enroll"},
        "more metadata": {"x-amz-meta-admin": "1"},
        "public": {"acl": "public-read"},
        "a redirect": {"success_action_redirect": "https://evil.example"},
        "no policy": {"policy": None},
        "no signature": {"x-amz-signature": None},
        "another signature": {"x-amz-signature": "0" * 64},
        "a policy of my own": {
            "policy": base64.b64encode(
                b'{"expiration": "2099-01-01T00:00:00Z", "conditions": [{"key": "x"}]}'
            ).decode()
        },
    }
    before = keys(stack, stack.settings.names.in_bucket, "")
    file = {"file": ("a.png", photo(1))}
    for what, changes in forged.items():
        upload = opened(stack)["upload"]
        fields = {**upload["fields"], **changes}
        sent = {name: value for name, value in fields.items() if value is not None}
        answer = httpx.post(upload["url"], data=sent, files=file, timeout=60)
        assert answer.status_code in (400, 403), (what, answer.status_code)
    late = aws(stack, "s3").generate_presigned_post(
        Bucket=stack.settings.names.in_bucket, Key=f"{UPLOAD_PREFIX}{new_id()}", ExpiresIn=-1
    )
    answer = httpx.post(late["url"], data=late["fields"], files=file, timeout=60)
    assert (answer.status_code, "expired" in answer.text) == (403, True)
    too_large = opened(stack)["upload"]
    answer = httpx.post(
        too_large["url"],
        data=too_large["fields"],
        files={"file": ("a.png", bytes((10 << 20) + 1))},
        timeout=60,
    )
    assert answer.status_code == 400
    assert keys(stack, stack.settings.names.in_bucket, "") == before


def test_a_form_that_is_used_again_changes_no_answer(stack: LocalStack, client: Client) -> None:
    made = opened(stack)
    for number in (1, 2):
        uploaded(made, number)
        view = client.wait(str(made["job_id"]), timeout=60)
        assert view.state is JobState.SUCCEEDED
        if number == 1:
            first = view
    # Sent after it, and answered after it.
    assert client.identify(a_photo(3), timeout=60).photo is not None
    assert client.job(str(made["job_id"])) == first


@long_form
def test_parts_that_die_in_the_middle_lose_no_photo(
    stack: LocalStack, client: Client, receiver: Receiver
) -> None:
    """Lambdas, cache, database and workers are killed, and all is deployed again."""
    began = time.monotonic()
    pids = {part.name: part.pid for part in stack.parts()}
    deploying = threading.Event()

    def faults() -> None:
        for _ in range(2):
            time.sleep(1)
            kill_lambdas(pids[EMULATOR])
        for name in RESTARTED:
            time.sleep(1)
            kill(pids[name])
        for part in stack.parts():
            if part.name.startswith("worker "):
                kill(part.pid)
        deploying.set()
        stack.deploy()
        deploying.clear()
        # What the schedule does too, within a minute: the scaler's turn was ended above.
        names = stack.settings.names
        aws(stack, "lambda").invoke(
            FunctionName=f"{names.stack}-{STAGE}-{SCALER_FUNCTION}", InvocationType="Event"
        )

    with ThreadPoolExecutor(8) as pool:
        troubling = pool.submit(faults)
        numbers = range(1000, 1000 + PHOTOS)
        jobs = list(pool.map(lambda number: sent(stack, number, receiver.url), numbers))
        during = 0
        while not troubling.done():
            late = 1000 + len(jobs)
            jobs += pool.map(lambda number: sent(stack, number, receiver.url), [late, late + 1])
            during += 2 * deploying.is_set()
        troubling.result()
    assert during >= 10, "photos came in while it was deployed"
    trouble_ended = time.monotonic()
    answered(client, jobs)
    with contextlib.suppress(AssertionError):  # the books say it
        eventually(lambda: set(jobs) <= set(receiver.got), "every callback came", SECONDS)
    recovered = time.monotonic() - trouble_ended
    told = {job: Counter({SUCCEEDED: receiver.got[job]}) for job in jobs if receiver.got[job]}
    name = "Lambdas, cache, database and workers killed, then a deployment"
    settled(stack, name, jobs, told, began, recovered)
    assert len(set(jobs)) == len(jobs)
    eventually(lambda: all(restarted(stack, name) for name in RESTARTED), "both run again", 60)


@long_form
def test_a_dead_emulator_comes_back_with_its_photos(stack: LocalStack, client: Client) -> None:
    """Everything of AWS is made anew around what is left on disk."""
    first = client.send(a_photo(1))
    before = client.wait(first.job_id, timeout=SECONDS)
    waiting = [client.send(a_photo(2000 + number)).job_id for number in range(5)]
    [emulator] = [part for part in stack.parts() if part.name == EMULATOR]
    began = time.monotonic()
    kill(emulator.pid)
    eventually(lambda: restarted(stack, EMULATOR), "the emulator is started again", SECONDS)
    answered(client, waiting)
    recovered = time.monotonic() - began
    name = "the AWS emulator killed, photos waiting"
    settled(stack, name, waiting, None, began, recovered)
    assert client.job(first.job_id) == before
    assert client.identify(a_photo(3000), timeout=SECONDS).photo is not None


def kill(pid: int | None) -> None:
    """Kill a part, unless it has ended by itself."""
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def restarted(stack: LocalStack, name: str) -> bool:
    """Whether a part was started again, and runs."""
    [part] = [part for part in stack.parts() if part.name == name]
    return part.restarts > 0 and part.state == "running"


def sent(stack: LocalStack, number: int, callback: str) -> str:
    """Send a photo; what fails while parts die is tried again, the upload of the same job."""
    made: Any = None
    for _ in range(60):
        try:
            made = made or opened(stack, callback_url=callback)
            uploaded(made, number)
        except httpx.HTTPError:
            time.sleep(0.5)
        else:
            return str(made["job_id"])
    raise AssertionError("the photo could not be sent")


def kill_lambdas(emulator: int | None) -> None:
    """Kill all processes that the emulator runs Lambdas in."""
    for child in psutil.Process(emulator).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "local_stack.emulation" not in child.cmdline():
                child.kill()


def test_no_log_holds_a_secret_a_photo_or_a_vector(stack: LocalStack, client: Client) -> None:
    """What all tests above, keys and vectors, right and wrong ones, made the parts say."""
    name, wrong = "Annabel Lee", "a-key-that-nobody-has"
    door = client.manage.create_key("door", [Scope.ADMIN], tenant="acme").key
    for key in (door, door[:-1] + "-", wrong):
        headers = {"X-Api-Key": key}
        httpx.get(f"{stack.url}/v1/people?q={name}", headers=headers, timeout=60)
    client.run(a_photo(4), JobKind.ENROLL, params=JobParams(person_name=name, force=True))
    [annabel] = [each for each in client.manage.export() if each.name == name]
    list(client.manage.import_people([annabel], "copy"))
    [face] = annabel.faces
    turned = face.model_copy(update={"vector": face.vector[::-1]})
    with pytest.raises(ApiError):
        list(client.manage.import_people([annabel.model_copy(update={"faces": (turned,)})]))
    with pytest.raises(JobFailed):
        client.run(a_photo(5), JobKind.ENROLL, params=JobParams(person_id=new_id()))
    secrets = (stack.settings.state_dir / "secrets.json").read_text()
    hidden = [value for value in re.findall(r'"([^"]{16,})"', secrets) if value]
    hidden += [name, wrong, door[-30:], face.vector[100:160], turned.vector[100:160]]
    hidden += [stack.api_key, base64.b64encode(photo(1))[100:180].decode(), photo(1)[100:140].hex()]
    vector = re.compile(r"(-?\d\.\d{3,}(e-\d+)?,? *){8}")
    signed = re.compile(r"x-amz-signature[^0-9a-z]{1,8}[0-9a-f]{64}", re.IGNORECASE)
    logs = sorted(stack.settings.log_dir.glob("*.log"))
    assert len(logs) >= 6
    assert sum(log.stat().st_size for log in logs) > 5_000
    written = {log.name: log.read_text(errors="replace") for log in logs}
    written |= said_by_lambdas(stack)
    assert '"answered"' in "".join(written.values()), "what Lambdas say is there"
    for log, whole in written.items():
        lines = whole.splitlines()
        # Metrics are lists of numbers too, and nothing but numbers.
        text = "\n".join(line for line in lines if "CloudWatchMetrics" not in line)
        for secret in hidden:
            assert secret not in text, log
        for pattern in (vector, signed):
            found = pattern.search(text)
            assert found is None, (log, text[found.start() - 200 : found.start()])
