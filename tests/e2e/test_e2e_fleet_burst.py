"""Seventy-five photos at once on an empty fleet: up to fifteen instances, and back to none."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from PIL import Image

from faces.client import Client, Photo
from faces.contracts.jobs import ContentType, JobState
from faces.contracts.names import TAG_STACK
from local_stack.demo import photos
from local_stack.settings import LocalSettings
from local_stack.stack import LocalStack
from scaler.control import Control
from tests.e2e.waiting import eventually

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

PHOTOS = 75
MOST = 15
SECONDS = 240
FEW = 3
LIVE = ["pending", "running", "shutting-down", "stopping"]

pytestmark = [pytest.mark.weights, pytest.mark.timeout(600)]


@pytest.fixture
def stack(
    environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    """A stack whose fleet begins, and ends, empty."""
    own = {
        **environ,
        "FACES_STACK": "faces-burst",
        "SCALER_MIN_INSTANCES": "0",
        "SCALER_MAX_INSTANCES": str(MOST),
        "SCALER_MIN_RUNTIME_SECONDS": "10",
        "SCALER_QUIET_SECONDS": "5",
        "SCALER_TICK_SECONDS": "2",
        # A third is killed, after which a fleet is not made smaller for a while.
        "SCALER_LOSS_HOLD_SECONDS": "20",
        # The whole fleet is launched before its first worker takes a photo.
        "LOCAL_BOOT_SECONDS": "25",
        "WORKER_POLL_SECONDS": "1",
        "WORKER_VISIBILITY_SECONDS": "20",
        "WORKER_THREADS": "1",
    }
    settings = LocalSettings.ephemeral(tmp_path_factory.mktemp("burst"), own)
    with LocalStack(settings) as running:
        yield running


@dataclass
class Watch:
    """Looks at EC2 from outside, several times a second, and remembers what it saw.

    Attributes
    ----------
    most : the most instances that existed at one time.
    seen : every instance id.
    whole : it looked until the end; an error would have ended it before.
    """

    ec2: "EC2Client"
    stack: str
    most: int = 0
    seen: set[str] = field(default_factory=set)
    now: set[str] = field(default_factory=set)
    looks: int = 0
    whole: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        filters = [
            {"Name": f"tag:{TAG_STACK}", "Values": [self.stack]},
            {"Name": "instance-state-name", "Values": LIVE},
        ]
        while not self._stop.wait(0.3):
            pages = self.ec2.get_paginator("describe_instances").paginate(Filters=filters)  # type: ignore[arg-type]
            self.now = {
                instance["InstanceId"]
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
            }
            self.seen |= self.now
            self.most = max(self.most, len(self.now))
            self.looks += 1
        self.whole = True


def small_photos() -> list[Photo]:
    """Return photos that differ a little, so that none is a repetition of another."""
    whole = Image.open(BytesIO(photos.astronaut())).convert("RGB")
    face = whole.crop((130, 0, 330, 200))
    made = []
    for number in range(PHOTOS):
        buffer = BytesIO()
        face.rotate(number % 15 - 7).save(buffer, "JPEG", quality=60 + number // 15)
        made.append(Photo(buffer.getvalue(), ContentType.JPEG, f"{number}.jpg"))
    return made


def aws(stack: LocalStack, service: str) -> Any:
    environment = stack.client_environment()
    endpoint = "AWS_ENDPOINT_URL_EC2" if service == "ec2" else "AWS_ENDPOINT_URL"
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=environment[endpoint],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def workers(stack: LocalStack) -> dict[str, int]:
    return {
        part.name.removeprefix("worker "): part.pid
        for part in stack.parts()
        if part.name.startswith("worker ") and part.pid is not None
    }


def test_a_burst_launches_fifteen_survives_a_massacre_and_ends_with_none(stack: LocalStack) -> None:
    ec2, ssm, s3, sqs = (aws(stack, name) for name in ("ec2", "ssm", "s3", "sqs"))
    names = stack.settings.names
    control = Control(names, ssm, s3, ec2)
    began, times = time.monotonic(), list[str]()
    with Watch(ec2, stack.settings.stack) as watch, Client(stack.url, stack.api_key) as client:
        # "At once" must not mean "as fast as this machine uploads".
        control.pause(600)
        with ThreadPoolExecutor(16) as pool:
            jobs = [made.job_id for made in pool.map(client.send, small_photos())]
        queue = sqs.get_queue_url(QueueName=names.req_queue)["QueueUrl"]

        def waiting() -> bool:
            counts = sqs.get_queue_attributes(
                QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"]
            )
            return bool(counts["Attributes"]["ApproximateNumberOfMessages"] == str(PHOTOS))

        eventually(waiting, "all photos wait", 150)
        assert not watch.seen, "a paused scaler launches nothing"
        control.resume()
        times.append(f"all waited after {time.monotonic() - began:.0f} s")
        eventually(lambda: len(watch.seen) >= MOST, "fifteen instances were launched", 90)
        times.append(f"launched after {time.monotonic() - began:.0f} s")
        assert len(watch.seen) == MOST

        def all_work() -> dict[str, int] | None:
            found = workers(stack)
            return found if len(found) == MOST else None

        def under_way() -> tuple[int, int] | None:
            counts = sqs.get_queue_attributes(
                QueueUrl=queue,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
            held = int(counts["ApproximateNumberOfMessagesNotVisible"])
            ended = PHOTOS - int(counts["ApproximateNumberOfMessages"]) - held
            return (ended, held) if ended > 0 and held >= FEW else None

        alive = eventually(all_work, "fifteen workers run", 60)
        # In the middle: some photos are done, and some are in workers' hands.
        done, in_flight = eventually(under_way, "the work is under way", 120)
        assert 0 < done < PHOTOS
        assert in_flight >= FEW
        killed = dict(sorted(alive.items())[: MOST // 3])
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        times.append(f"killed {len(killed)} after {time.monotonic() - began:.0f} s")

        views = [client.wait(job_id, timeout=SECONDS) for job_id in jobs]
        times.append(f"all photos ended after {time.monotonic() - began:.0f} s")
        assert [view.state for view in views] == [JobState.SUCCEEDED] * PHOTOS
        assert not set(killed) & watch.now

        try:
            eventually(lambda: not watch.now, "the fleet is gone", 150)
        except AssertionError as error:
            error.add_note(json.dumps(control.state()))
            raise
        times.append(
            f"fleet empty after {time.monotonic() - began:.0f} s, {len(watch.seen)} launched"
        )
    sys.stdout.write("; ".join(times) + "\n")
    assert watch.whole
    assert watch.looks > 20
    assert watch.most == MOST
    # Who replaces the killed, and nobody else.
    assert len(watch.seen) <= MOST + len(killed)
