"""The stack at this moment and in its last minutes, as SQS, EC2 and CloudWatch tell it.

What does not answer is left out: the rest is worth most when something is broken.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from chalice_app.observability import logger
from faces.contracts.names import (
    METRICS_DIMENSION,
    METRICS_NAMESPACE,
    ROLE_WORKER,
    TAG_DRAIN,
    TAG_DRAINED,
    TAG_READY,
    TAG_ROLE,
    TAG_STACK,
    StackNames,
)
from faces.contracts.operations import (
    FleetWorker,
    Minute,
    OperationsView,
    Queues,
    WorkerState,
)

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sqs import SQSClient

_VISIBLE: Final = "ApproximateNumberOfMessages"
_IN_FLIGHT: Final = "ApproximateNumberOfMessagesNotVisible"
_EXISTING = ("pending", "running", "shutting-down", "stopping", "stopped")
# Field of `Minute`: metric and statistic. A job's end is one sample of EndToEndSeconds.
_SERIES = {
    "backlog": ("Backlog", "Maximum"),
    "oldest_seconds": ("OldestMessageSeconds", "Maximum"),
    "running": ("RunningInstances", "Maximum"),
    "booting": ("BootingInstances", "Maximum"),
    "desired": ("DesiredInstances", "Maximum"),
    "finished": ("EndToEndSeconds", "SampleCount"),
    "p50_seconds": ("EndToEndSeconds", "p50"),
    "p95_seconds": ("EndToEndSeconds", "p95"),
}

Found = TypeVar("Found")


@dataclass(frozen=True)
class Operations:
    """Looks at one stack.

    Parameters
    ----------
    clock : returns the present time (aware).
    """

    sqs: "SQSClient"
    ec2: "EC2Client"
    cloudwatch: "CloudWatchClient"
    names: StackNames
    clock: Callable[[], datetime]

    def view(self, minutes: int) -> OperationsView:
        """Return the present state, with so many minutes of history where more than 0."""
        return OperationsView(
            at=self.clock(),
            stack=self.names.stack,
            queues=_unless_away("SQS", self._queues),
            fleet=_unless_away("EC2", self._fleet),
            history=_unless_away("CloudWatch", lambda: self._history(minutes)) if minutes else None,
        )

    def _queues(self) -> Queues:
        names = self.names
        work = self._count(names.req_queue)
        return Queues(
            arriving=sum(self._count(names.uploads_queue)),
            waiting=work[0],
            in_flight=work[1],
            dead=sum(self._count(names.req_dlq) + self._count(names.uploads_dlq)),
        )

    def _count(self, queue: str) -> tuple[int, int]:
        url = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[_VISIBLE, _IN_FLIGHT])
        attributes = found["Attributes"]
        return int(attributes[_VISIBLE]), int(attributes[_IN_FLIGHT])

    def _fleet(self) -> tuple[FleetWorker, ...]:
        pages = self.ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": f"tag:{TAG_STACK}", "Values": [self.names.stack]},
                {"Name": f"tag:{TAG_ROLE}", "Values": [ROLE_WORKER]},
                {"Name": "instance-state-name", "Values": list(_EXISTING)},
            ]
        )
        return sort_fleet(
            instance
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        )

    def _history(self, minutes: int) -> tuple[Minute, ...]:
        end = self.clock().replace(second=0, microsecond=0)
        pages = self.cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[_query(name, self.names.stack) for name in _SERIES],
            StartTime=end - timedelta(minutes=minutes),
            EndTime=end,
            ScanBy="TimestampAscending",
        )
        return join_series(result for page in pages for result in page["MetricDataResults"])


def sort_fleet(described: Iterable[Any]) -> tuple[FleetWorker, ...]:
    """Return instances as DescribeInstances gives them, the oldest first.

    Whether workers announce themselves by a tag is a setting of the scaler. Where one of
    the fleet does, those without the tag still boot; where none does, running is ready.
    """
    listed = sorted(described, key=lambda raw: (raw["LaunchTime"], raw["InstanceId"]))
    tags = [{tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())} for raw in listed]
    announced = any(TAG_READY in each for each in tags)
    return tuple(
        FleetWorker(
            instance_id=raw["InstanceId"],
            name=marks.get("Name", ""),
            state=_state(raw["State"]["Name"], marks, announced=announced),
            instance_type=raw.get("InstanceType", ""),
            spot=raw.get("InstanceLifecycle") == "spot",
            launched_at=raw["LaunchTime"],
        )
        for raw, marks in zip(listed, tags, strict=True)
    )


def _state(state: str, tags: Mapping[str, str], *, announced: bool) -> WorkerState:
    match state:
        case "shutting-down" | "stopping":
            return WorkerState.STOPPING
        case "stopped":
            return WorkerState.STOPPED
    if TAG_DRAIN in tags or TAG_DRAINED in tags:
        return WorkerState.DRAINING
    ready = state == "running" and (TAG_READY in tags or not announced)
    return WorkerState.READY if ready else WorkerState.BOOTING


def join_series(results: Iterable[Any]) -> tuple[Minute, ...]:
    """Return MetricDataResults of the series by minute; minutes of none are left out."""
    minutes: dict[datetime, dict[str, float]] = defaultdict(dict)
    for result in results:
        for at, value in zip(result["Timestamps"], result["Values"], strict=True):
            minutes[at][result["Id"]] = value
    return tuple(Minute(at=at, **minutes[at]) for at in sorted(minutes))


def _query(name: str, stack: str) -> Any:
    metric, statistic = _SERIES[name]
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": METRICS_NAMESPACE,
                "MetricName": metric,
                "Dimensions": [{"Name": METRICS_DIMENSION, "Value": stack}],
            },
            "Period": 60,
            "Stat": statistic,
        },
    }


def _unless_away(service: str, ask: Callable[[], Found]) -> Found | None:
    try:
        return ask()
    except (BotoCoreError, ClientError, ResponseParserError):
        logger.warning("no answer for the operations", service_asked=service, exc_info=True)
        return None
