"""The operations view: each part from its service, and without those that are away."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from chalice_app import dependencies
from chalice_app.operations import Operations, join_series, sort_fleet
from faces.contracts.names import StackNames
from faces.contracts.operations import OperationsView, Queues, WorkerState
from tests.unit.chalice_app.fakes import NOW, FakeContext
from tests.unit.chalice_app.gateway import call

ANYBODY = {
    "region_name": "eu-central-1",
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": "not-a-secret",
}


class Stubbed:
    """Clients that answer what was put into them, and refuse everything else."""

    def __init__(self) -> None:
        self.clients = [boto3.client(name, **ANYBODY) for name in ("sqs", "ec2", "cloudwatch")]  # type: ignore[call-overload]
        self.sqs, self.ec2, self.cloudwatch = (Stubber(client) for client in self.clients)
        for stubber in (self.sqs, self.ec2, self.cloudwatch):
            stubber.activate()

    def view(self, minutes: int = 0) -> OperationsView:
        sqs, ec2, cloudwatch = self.clients
        made = Operations(sqs, ec2, cloudwatch, StackNames("faces-test"), lambda: NOW)
        return made.view(minutes)

    def queues(self, **counts: tuple[int, int]) -> None:
        for queue in ("req-queue", "uploads-queue", "req-dlq", "uploads-dlq"):
            visible, in_flight = counts.get(queue.replace("-", "_"), (0, 0))
            name = f"faces-test-{queue}"
            self.sqs.add_response("get_queue_url", {"QueueUrl": queue}, {"QueueName": name})
            attributes = {
                "ApproximateNumberOfMessages": str(visible),
                "ApproximateNumberOfMessagesNotVisible": str(in_flight),
            }
            self.sqs.add_response(
                "get_queue_attributes",
                {"Attributes": attributes},
                {"QueueUrl": queue, "AttributeNames": ANY},
            )

    def fleet(self, *instances: Any) -> None:
        self.ec2.add_response(
            "describe_instances", {"Reservations": [{"Instances": list(instances)}]}
        )


def instance(number: int, state: str = "running", **tags: str) -> dict[str, Any]:
    return {
        "InstanceId": f"i-{number}",
        "LaunchTime": NOW + timedelta(seconds=number),
        "State": {"Name": state},
        "InstanceType": "g4dn.xlarge",
        "Tags": [
            {"Key": key.replace("_", ":"), "Value": value}
            for key, value in {"Name": f"app-tier-instance-{number}", **tags}.items()
        ],
    }


def states(*instances: Any) -> list[WorkerState]:
    return [worker.state for worker in sort_fleet(instances)]


def test_queues_and_fleet() -> None:
    stubbed = Stubbed()
    stubbed.queues(req_queue=(7, 3), uploads_queue=(2, 1), req_dlq=(1, 0), uploads_dlq=(0, 1))
    stubbed.fleet(instance(2, "pending"), instance(1))
    view = stubbed.view()
    assert view.queues == Queues(arriving=3, waiting=7, in_flight=3, dead=2)
    assert view.fleet is not None
    assert [(each.instance_id, each.state) for each in view.fleet] == [
        ("i-1", WorkerState.READY),
        ("i-2", WorkerState.BOOTING),
    ]
    assert (view.at, view.stack, view.history) == (NOW, "faces-test", None)


def test_what_is_away_is_left_out() -> None:
    stubbed = Stubbed()
    stubbed.sqs.add_client_error("get_queue_url", "InternalError")
    stubbed.fleet(instance(1))
    stubbed.cloudwatch.add_client_error("get_metric_data", "Throttling")
    view = stubbed.view(minutes=5)
    assert view.queues is None
    assert view.fleet is not None
    assert view.history is None


def test_the_state_of_a_worker() -> None:
    assert states(instance(1, "running")) == [WorkerState.READY]
    assert states(instance(1, "pending")) == [WorkerState.BOOTING]
    assert states(instance(1, "stopped"), instance(2, "shutting-down")) == [
        WorkerState.STOPPED,
        WorkerState.STOPPING,
    ]
    assert states(instance(1, faces_drain="1"), instance(2, faces_drained="1")) == [
        WorkerState.DRAINING,
        WorkerState.DRAINING,
    ]


def test_where_workers_announce_themselves_the_others_still_boot() -> None:
    assert states(instance(1, faces_ready="1"), instance(2)) == [
        WorkerState.READY,
        WorkerState.BOOTING,
    ]


def test_history_is_asked_for_by_whole_minutes() -> None:
    stubbed = Stubbed()
    stubbed.queues()
    stubbed.fleet()
    end = NOW.replace(second=0)
    answer = {
        "MetricDataResults": [
            {"Id": "backlog", "Timestamps": [end - timedelta(minutes=1)], "Values": [4.0]},
        ]
    }
    stubbed.cloudwatch.add_response(
        "get_metric_data",
        answer,
        {
            "MetricDataQueries": ANY,
            "StartTime": end - timedelta(minutes=30),
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        },
    )
    (minute,) = stubbed.view(minutes=30).history or ()
    assert (minute.at, minute.backlog, minute.running) == (end - timedelta(minutes=1), 4.0, None)


def test_series_are_joined_by_minute() -> None:
    first, second = datetime(2026, 1, 1, 0, 0, tzinfo=UTC), datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    joined = join_series(
        [
            {"Id": "finished", "Timestamps": [first, second], "Values": [10.0, 20.0]},
            {"Id": "p95_seconds", "Timestamps": [second], "Values": [0.5]},
        ]
    )
    assert [(each.at, each.finished, each.p95_seconds) for each in joined] == [
        (first, 10.0, None),
        (second, 20.0, 0.5),
    ]


def test_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    stubbed = Stubbed()
    stubbed.queues()
    stubbed.fleet()
    made = FakeContext(operations=stubbed)
    monkeypatch.setattr(dependencies, "context", lambda: made)
    answer = call("GET", "/v1/operations")
    assert answer.status == 200
    assert answer.json["queues"] == {"arriving": 0, "waiting": 0, "in_flight": 0, "dead": 0}
    assert answer.json["fleet"] == []
    assert call("GET", "/v1/operations?minutes=1000").json["field"] == "minutes"
