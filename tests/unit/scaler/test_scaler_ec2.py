"""Reading queue and fleet, launching and ending; with EC2 and SQS in memory."""

from datetime import timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from faces.contracts.names import StackNames
from faces.contracts.scaler_settings import ScalerSettings
from scaler.blueprint import TickEvent, decide_config
from scaler.executor import Executor, Outcome, client_token, free_names
from scaler.observe import read_backlog, read_workers
from scaler.thin import Backlog, Decision, Worker, WorkerState
from tests.unit.scaler.fake_ec2 import NOW, FakeEc2, client_error

NAMES = StackNames("faces-test")


def worker(number: int) -> Worker:
    name = f"app-tier-instance-{number}"
    return Worker(f"i-old-{number}", name, WorkerState.RUNNING, NOW)


def carry_out(ec2: FakeEc2, decision: Decision, *workers: Worker) -> Outcome:
    return Executor(cast(Any, ec2), NAMES).carry_out(decision, workers, NOW)


def test_workers_are_launched_from_the_template_and_tagged_at_launch() -> None:
    ec2 = FakeEc2()
    outcome = carry_out(ec2, Decision(3, launch=2), worker(1), worker(3))
    assert [made.name for made in outcome.launched] == [
        "app-tier-instance-2",
        "app-tier-instance-4",
    ]
    assert [made.instance_id for made in outcome.launched] == ["i-1", "i-2"]
    first = ec2.launches[0]
    assert first == {
        "LaunchTemplate": {"LaunchTemplateName": "faces-test-worker", "Version": "$Latest"},
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": client_token("app-tier-instance-2", NOW),
        "TagSpecifications": [
            {
                "ResourceType": "instance",
                "Tags": [
                    {"Key": "Name", "Value": "app-tier-instance-2"},
                    {"Key": "faces:stack", "Value": "faces-test"},
                    {"Key": "faces:role", "Value": "worker"},
                ],
            }
        ],
    }
    assert len({launch["ClientToken"] for launch in ec2.launches}) == 2


def test_one_launch_that_fails_does_not_stop_the_others() -> None:
    ec2 = FakeEc2(errors=[None, client_error("InsufficientInstanceCapacity"), None])
    outcome = carry_out(ec2, Decision(3, launch=3))
    assert len(outcome.launched) == 2
    assert outcome.failures == ("InsufficientInstanceCapacity",)


def test_a_connection_that_fails_is_reported() -> None:
    ec2 = FakeEc2(errors=[EndpointConnectionError(endpoint_url="http://x")])
    assert carry_out(ec2, Decision(1, launch=1)).failures == ("EndpointConnectionError",)


def test_workers_are_ended() -> None:
    ec2 = FakeEc2()
    outcome = carry_out(ec2, Decision(0, terminate=("i-a", "i-b")))
    assert ec2.terminated == ["i-a", "i-b"]
    assert outcome == Outcome(terminated=("i-a", "i-b"))


def test_an_end_that_fails_is_reported() -> None:
    ec2 = FakeEc2(errors=[client_error("RequestLimitExceeded", "TerminateInstances")])
    outcome = carry_out(ec2, Decision(0, terminate=("i-a",)))
    assert outcome == Outcome(failures=("RequestLimitExceeded",))


def test_nothing_decided_calls_nothing() -> None:
    ec2 = FakeEc2(errors=[client_error("X")])
    assert carry_out(ec2, Decision(None)) == Outcome()
    assert len(ec2.errors) == 1


@given(st.sets(st.integers(1, 30)), st.integers(0, 20))
def test_free_names_are_new_and_the_lowest(taken: set[int], number: int) -> None:
    names = free_names({f"app-tier-instance-{n}" for n in taken}, number)
    numbers = [int(name.rsplit("-", 1)[1]) for name in names]
    assert len(set(numbers)) == number
    assert not taken & set(numbers)
    assert numbers == sorted(numbers)
    assert not numbers or set(range(1, numbers[-1])) <= taken | set(numbers)


def test_a_token_is_bound_to_name_and_moment() -> None:
    token = client_token("app-tier-instance-12345", NOW)
    assert len(token) <= 64
    assert token != client_token("app-tier-instance-12345", NOW + timedelta(seconds=5))
    assert token == client_token("app-tier-instance-12345", NOW)


def test_the_fleet_is_read_from_every_page() -> None:
    ec2 = FakeEc2()
    carry_out(ec2, Decision(5, launch=5))
    ec2.instances[0]["State"]["Name"] = "running"
    workers = read_workers(cast(Any, ec2), NAMES)
    assert workers is not None
    assert [found.name for found in workers] == [f"app-tier-instance-{n}" for n in range(1, 6)]
    assert [found.state.value for found in workers] == ["running"] + ["pending"] * 4
    assert ec2.filters == [
        {"Name": "tag:faces:stack", "Values": ["faces-test"]},
        {"Name": "tag:faces:role", "Values": ["worker"]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]


@pytest.mark.parametrize(
    "error",
    [client_error("UnauthorizedOperation"), EndpointConnectionError(endpoint_url="http://x")],
)
def test_an_unreadable_fleet_is_none(error: Exception) -> None:
    assert read_workers(cast(Any, FakeEc2(errors=[error])), NAMES) is None


class FakeSqs:
    """One queue with attributes, or an error."""

    def __init__(self, attributes: dict[str, str], error: Exception | None = None) -> None:
        self.attributes = attributes
        self.error = error

    def get_queue_url(self, **asked: str) -> dict[str, str]:
        if self.error:
            raise self.error
        return {"QueueUrl": f"http://sqs/{asked['QueueName']}"}

    def get_queue_attributes(self, **asked: Any) -> dict[str, Any]:
        assert asked["QueueUrl"] == "http://sqs/faces-test-req-queue"
        return {"Attributes": {name: self.attributes[name] for name in asked["AttributeNames"]}}


def test_the_backlog_is_what_waits_and_what_is_in_flight() -> None:
    attributes = {
        "ApproximateNumberOfMessages": "7",
        "ApproximateNumberOfMessagesNotVisible": "2",
    }
    assert read_backlog(cast(Any, FakeSqs(attributes)), NAMES) == Backlog(7, 2)


@pytest.mark.parametrize(
    "sqs",
    [
        FakeSqs({}, client_error("AWS.SimpleQueueService.NonExistentQueue")),
        FakeSqs({}, EndpointConnectionError(endpoint_url="http://x")),
        FakeSqs({"ApproximateNumberOfMessages": "x"}),
        FakeSqs({}),
    ],
)
def test_an_unreadable_queue_is_none_and_not_empty(sqs: FakeSqs) -> None:
    assert read_backlog(cast(Any, sqs), NAMES) is None


def test_settings_become_limits() -> None:
    settings = ScalerSettings.load({"SCALER_TICK_SECONDS": "2", "SCALER_MAX_INSTANCES": "4"})
    limits = decide_config(settings)
    assert (limits.min_instances, limits.max_instances, limits.launch_batch) == (0, 4, 5)
    assert limits.min_runtime == timedelta(seconds=300)
    assert limits.quiet_time == timedelta(seconds=6)


@pytest.mark.parametrize(
    ("payload", "ticks"),
    [({"ticks": 1}, 1), ({}, None), ({"version": "0", "detail-type": "Scheduled Event"}, None)],
)
def test_ticks_can_be_asked_for(payload: dict[str, Any], ticks: int | None) -> None:
    assert TickEvent(payload, None).ticks == ticks
