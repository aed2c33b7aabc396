"""The controller beside an EC2 that is slow, throttled, failing or cut off in mid-answer.

The real executor, reader and store speak by HTTP with moto's server (EC2 and S3), through
a proxy that does these things to a share of all calls. Counted is what EC2 itself knows,
past the proxy.
"""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from faces.contracts.names import TAG_DRAIN, TAG_DRAINED, TAG_LAUNCH, TAG_STACK, StackNames
from local_stack.ec2 import ec2_client, ec2_service
from local_stack.emulator import root_session
from local_stack.settings import free_ports
from local_stack.stack import WORKER_IMAGE
from scaler.errors import Meaning, meaning
from scaler.executor import Executor
from scaler.model import Backlog, Fleet, FleetConfig
from scaler.observe import Prices, QueueMetrics, read_fleet
from scaler.store import StateStore, StoreUnavailableError
from scaler.template import TemplateWatch
from scaler.tick import Controller, TickRecord
from tests.chaos.faults import Fault, Plan, Proxy

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import TagTypeDef

TICK_SECONDS = 5.0
MOST = 15
# The breaker's waits are bounded, so that a run of failures does not outlast the test.
CONFIG = FleetConfig(
    max_instances=MOST, min_runtime=30, scale_in_window=30, breaker_seconds=20, breaker_longest=40
)
READ_SECONDS, PATIENT_SECONDS = 0.3, 3.0
KINDS = {
    "all": tuple(Fault),
    "answers": (Fault.CUT, Fault.ANSWER_LOST),
    "refusals": (Fault.THROTTLED, Fault.FAILING, Fault.REFUSED),
    "too slow": (Fault.SLOW,),
}
_stacks = count(1)


@pytest.fixture(scope="module")
def ec2_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    (port,) = free_ports(1)
    service = ec2_service(port, tmp_path_factory.mktemp("ec2") / "ec2.log")
    service.start()
    yield port
    service.stop()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the log readable: hundreds of calls fail on purpose."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Counting(Proxy):
    """Knows which requests it still has."""

    open = 0

    async def _serve(self, *streams: Any) -> None:
        self.open += 1
        try:
            await super()._serve(*streams)
        finally:
            self.open -= 1


@dataclass
class Rig:
    """One stack's controller and workers; a tick is five seconds for them, less for us."""

    proxy: Counting
    ec2: "EC2Client"
    read_seconds: float
    backlog: Backlog | None = None
    most: int = 0

    def __post_init__(self) -> None:
        self.names = StackNames(f"faces-faults-{next(_stacks)}")
        self.now = time.time()
        self.ec2.create_launch_template(
            LaunchTemplateName=self.names.launch_template,
            LaunchTemplateData={"ImageId": WORKER_IMAGE, "InstanceType": "g4dn.xlarge"},
        )
        session = root_session("us-east-1")
        direct = session.client("s3", endpoint_url=self.ec2.meta.endpoint_url)
        direct.create_bucket(Bucket=self.names.out_bucket)
        # Like the Lambda function's, but of less patience.
        config = Config(
            connect_timeout=2, read_timeout=self.read_seconds, retries={"total_max_attempts": 1}
        )
        self.s3 = session.client("s3", endpoint_url=self.proxy.url, config=config)
        self.seen = session.client("ec2", endpoint_url=self.proxy.url, config=config)
        self.start()

    def cold_start(self) -> None:
        """Replace the process: only the store and EC2 remember.

        It gives its lease back at its end, where S3 takes that; else the lease expires.
        """
        with suppress(StoreUnavailableError):
            self.controller.close()
        self.start()

    def start(self) -> None:
        self.template = TemplateWatch(self.seen, self.names, lambda: self.now)
        self.controller = Controller(
            store=StateStore(self.s3, self.names.out_bucket, uuid.uuid4().hex),
            reads=_Reads(self),
            executor=Executor(self.seen, self.names),
            config=lambda: (CONFIG, None),
            clock=lambda: self.now,
        )

    def tick(self) -> TickRecord | None:
        """Tick once, and let workers confirm their drains; None where nothing was done."""
        record = None
        with suppress(StoreUnavailableError):
            record = self.controller.tick()
        self.now += TICK_SECONDS
        existing = self.existing()
        self.most = max(self.most, len(existing))
        for each in existing:
            if float(tags(each).get(TAG_DRAIN, "0")) > self.now:
                confirmed: TagTypeDef = {"Key": TAG_DRAINED, "Value": f"{self.now:.0f}"}
                self.ec2.create_tags(Resources=[each["InstanceId"]], Tags=[confirmed])
        return record

    def until(self, number: int, ticks: int) -> int:
        """Tick until so many exist; return after how many ticks."""
        for done in range(ticks):
            if len(self.existing()) == number:
                return done
            if done % 7 == 6:
                self.cold_start()
            self.tick()
        raise AssertionError(f"{len(self.existing())} exist after {ticks} ticks, not {number}")

    def until_known_and_named(self) -> None:
        """Tick until the controller knows all that exist, each by a name of its own."""
        for _ in range(20):
            record, existing = self.tick(), self.existing()
            if record is None or (fleet := record.observation.fleet) is None:
                continue
            known = {each.instance_id for group in (fleet.ready, fleet.booting) for each in group}
            assert known == {each["InstanceId"] for each in existing}
            if len({tags(each).get("Name", "") for each in existing} - {""}) == len(existing):
                return
        raise AssertionError("some have no name of their own")

    def all(self) -> list[Any]:
        """Return every instance that there ever was."""
        filters: list[Any] = [{"Name": f"tag:{TAG_STACK}", "Values": [self.names.stack]}]
        pages = self.ec2.get_paginator("describe_instances").paginate(Filters=filters)
        return [
            instance
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        ]

    def existing(self) -> list[Any]:
        return [each for each in self.all() if each["State"]["Name"] != "terminated"]


@dataclass
class _Reads:
    rig: Rig

    def backlog(self) -> Backlog | None:
        return self.rig.backlog

    def fleet(self) -> Fleet | None:
        template = self.rig.template.read()
        prices = Prices({}, 0.4)
        return read_fleet(self.rig.seen, self.rig.names, prices, template, ready_tag=False)

    def queue_metrics(self, backlog: Backlog | None) -> QueueMetrics:
        return QueueMetrics()


@pytest.fixture
def rig(ec2_port: int) -> Iterator[Rig]:
    yield from rigs(ec2_port, READ_SECONDS)


@pytest.fixture
def patient_rig(ec2_port: int) -> Iterator[Rig]:
    """One whose calls fail only where they are made to."""
    yield from rigs(ec2_port, PATIENT_SECONDS)


def rigs(ec2_port: int, read_seconds: float) -> Iterator[Rig]:
    direct = ec2_client(f"http://127.0.0.1:{ec2_port}", "us-east-1")
    with Counting(ec2_port) as proxy:
        yield Rig(proxy, direct, read_seconds)


def tags(instance: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}


@pytest.mark.parametrize(
    ("kind", "rate", "rounds", "seed"),
    [
        ("all", 0.3, (12, 7), 1),
        ("answers", 0.3, (12,), 3),
        ("refusals", 0.3, (12,), 5),
        ("too slow", 0.15, (7,), 7),
    ],
)
def test_the_fleet_comes_and_goes_as_wanted_whatever_befalls_the_calls(
    rig: Rig, kind: str, rate: float, rounds: tuple[int, ...], seed: int
) -> None:
    plan = Plan(KINDS[kind], rate, slow_seconds=1.5 * READ_SECONDS, seed=seed)
    for wanted in rounds:
        rig.proxy.plan, rig.most = plan, 0
        rig.backlog = Backlog(wanted * CONFIG.messages_per_instance, 0)
        rig.until(wanted, ticks=200)
        for _ in range(5):
            rig.tick()
        assert rig.most == len(rig.existing()) == wanted  # and never one more

        rig.proxy.plan = Plan()
        rig.until_known_and_named()

        rig.proxy.plan = plan
        rig.backlog = Backlog(0, 0)
        rig.until(0, ticks=200)
    assert sum(plan.met.values()) >= 5
    launched = Counter(tags(each)[TAG_LAUNCH] for each in rig.all())
    assert max(launched.values()) <= CONFIG.launch_batch
    assert launched.total() == sum(rounds)  # none was launched to be ended at once


def test_a_launch_whose_answer_is_lost_is_asked_for_again_and_made_once(patient_rig: Rig) -> None:
    rig = patient_rig
    rig.backlog = Backlog(20, 0)
    rig.proxy.plan = Plan((Fault.ANSWER_LOST,), rate=1.0, matching=Only("POST", after=2))
    first = rig.tick()
    assert first is not None
    assert first.outcome.launch_unknown
    assert len(rig.existing()) == 4
    rig.cold_start()
    rig.proxy.plan = Plan()
    for _ in range(5):
        rig.tick()
    assert len(rig.all()) == 4
    assert len({tags(each)[TAG_LAUNCH] for each in rig.all()}) == 1


def test_a_launch_that_comes_after_it_was_given_up_is_not_made_twice(patient_rig: Rig) -> None:
    rig = patient_rig
    rig.backlog = Backlog(20, 0)
    # Long enough that the launch asked for again overtakes the first.
    slow = Plan((Fault.SLOW,), rate=1.0, slow_seconds=10, matching=Only("POST", after=2))
    rig.proxy.plan = slow
    first = rig.tick()
    assert first is not None
    assert first.outcome.launch_unknown
    assert not rig.existing()
    rig.proxy.plan = Plan()
    rig.tick()
    assert len(rig.existing()) == 4
    until = time.monotonic() + 20
    while rig.proxy.open and time.monotonic() < until:
        time.sleep(0.02)
    assert not rig.proxy.open
    rig.tick()
    assert len(rig.all()) == 4


class Only:
    """Lets faults meet requests of a method after so many others."""

    def __init__(self, method: str, after: int) -> None:
        self._method, self._left = method, after

    def __call__(self, method: str, _target: str) -> bool:
        if method != self._method:
            return False
        self._left -= 1
        return self._left < 0


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (EndpointConnectionError(endpoint_url="x", error="refused"), Meaning.RETRYABLE),
        (ConnectTimeoutError(endpoint_url="x", error="late"), Meaning.RETRYABLE),
        (HTTPClientError(error="whatever came after the request was sent"), Meaning.UNKNOWN),
        (ResponseParserError("half an answer"), Meaning.UNKNOWN),
    ],
)
def test_only_what_was_never_sent_is_known_not_to_have_happened(error: Any, means: Meaning) -> None:
    assert meaning(error) is means
