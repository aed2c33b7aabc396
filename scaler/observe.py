"""Reads what a decision needs: queues from SQS, the fleet from EC2, ages from CloudWatch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from faces.contracts.names import (
    ROLE_WORKER,
    TAG_DRAIN,
    TAG_DRAINED,
    TAG_HOLD,
    TAG_KEEP,
    TAG_ORPHAN,
    TAG_READY,
    TAG_ROLE,
    TAG_STACK,
    StackNames,
)
from scaler.errors import CALL_ERRORS
from scaler.log import logger
from scaler.model import Backlog, Fleet, Instance, Market, Pool
from scaler.template import Template

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sqs import SQSClient

_VISIBLE: Final = "ApproximateNumberOfMessages"
_IN_FLIGHT: Final = "ApproximateNumberOfMessagesNotVisible"
_EXISTING = ("pending", "running", "shutting-down", "stopping", "stopped")
_DELAY = timedelta(minutes=2)


def read_backlog(sqs: "SQSClient", names: StackNames) -> Backlog | None:
    """Return the backlog of the req-queue, None when it cannot be read."""
    try:
        work = _counts(sqs, names.req_queue)
        dead = _counts(sqs, names.req_dlq)
        return Backlog(visible=work[0], in_flight=work[1], dead=sum(dead))
    except (*CALL_ERRORS, KeyError, ValueError):
        logger.exception("the backlog cannot be read")
        return None


def _counts(sqs: "SQSClient", queue: str) -> tuple[int, int]:
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[_VISIBLE, _IN_FLIGHT])
    attributes = found["Attributes"]
    return int(attributes[_VISIBLE]), int(attributes[_IN_FLIGHT])


@dataclass(frozen=True)
class Prices:
    """What an instance costs.

    Attributes
    ----------
    on_demand : dollars an hour by instance type.
    spot_ratio : what spot costs of that.
    """

    on_demand: Mapping[str, float]
    spot_ratio: float

    def of(self, instance: Instance) -> float:
        """Return dollars an hour; 0 for a type without a price."""
        price = self.on_demand.get(instance.pool.instance_type, 0.0)
        return price * (self.spot_ratio if instance.market is Market.SPOT else 1.0)


def read_fleet(
    ec2: "EC2Client",
    names: StackNames,
    prices: Prices,
    template: Template | None = None,
    *,
    ready_tag: bool,
) -> Fleet | None:
    """Return the fleet, None when it cannot be read whole.

    Parameters
    ----------
    template : what new workers are launched from; None when that is not known.
    ready_tag : whether a running instance without the tag of a ready worker still boots.
    """
    filters = [
        {"Name": f"tag:{TAG_STACK}", "Values": [names.stack]},
        {"Name": f"tag:{TAG_ROLE}", "Values": [ROLE_WORKER]},
        {"Name": "instance-state-name", "Values": list(_EXISTING)},
    ]
    try:
        pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)  # type: ignore[arg-type]
        described = [
            instance
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        ]
        return sort_fleet(described, prices, template, ready_tag=ready_tag)
    except (*CALL_ERRORS, KeyError, ValueError):
        logger.exception("the fleet cannot be read")
        return None


def sort_fleet(
    described: Iterable[Any], prices: Prices, template: Template | None = None, *, ready_tag: bool
) -> Fleet:
    """Sort instances as DescribeInstances gives them by what they are good for."""
    groups: dict[str, list[Instance]] = {
        name: [] for name in ("ready", "booting", "draining", "suspect", "stopped")
    }
    leaving = 0
    for raw in described:
        state = raw["State"]["Name"]
        if state in ("shutting-down", "stopping"):
            leaving += 1
            continue
        tags = {tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())}
        ready = state == "running" and (TAG_READY in tags or not ready_tag)
        outdated = template is not None and template.outdates(raw, tags)
        instance = _instance(raw, tags, ready=ready, outdated=outdated)
        if state == "stopped":
            group = "stopped"
        elif TAG_ORPHAN in tags:
            group = "suspect"
        elif TAG_DRAIN in tags or instance.drained:
            group = "draining"
        else:
            group = "ready" if ready else "booting"
        groups[group].append(instance)
    paid = (each for name, group in groups.items() if name != "stopped" for each in group)
    replaceable = (*groups["ready"], *groups["booting"], *groups["stopped"])
    return Fleet(
        ready=groups["ready"],
        booting=groups["booting"],
        draining=groups["draining"],
        suspect=groups["suspect"],
        stopped=groups["stopped"],
        leaving=leaving,
        hourly_price=sum(prices.of(each) for each in paid),
        outdated=sum(each.outdated for each in replaceable),
    )


def _instance(raw: Any, tags: Mapping[str, str], *, ready: bool, outdated: bool) -> Instance:
    spot = raw.get("InstanceLifecycle") == "spot"
    return Instance(
        instance_id=raw["InstanceId"],
        launched_at=raw["LaunchTime"].timestamp(),
        name=tags.get("Name", ""),
        pool=Pool(raw.get("InstanceType", ""), raw.get("SubnetId", "")),
        market=Market.SPOT if spot else Market.ON_DEMAND,
        keep_until=_second(tags, TAG_KEEP),
        hold_until=_second(tags, TAG_HOLD),
        drain_until=_second(tags, TAG_DRAIN),
        drained=TAG_DRAINED in tags,
        orphan_at=_second(tags, TAG_ORPHAN),
        ready=ready,
        outdated=outdated,
    )


def _second(tags: Mapping[str, str], name: str) -> float:
    """Return the Unix second of a mark; one that cannot be read is as good as expired."""
    value = tags.get(name)
    if value is None:
        return 0.0
    try:
        return float(value)
    except ValueError:
        logger.warning("a mark cannot be read", mark=name, value=value)
        return 1.0


@dataclass(frozen=True)
class QueueMetrics:
    """What CloudWatch knows of the req-queue; SQS itself tells neither.

    Attributes
    ----------
    oldest_age : seconds, of the oldest waiting message.
    completed_per_second : messages deleted.
    """

    oldest_age: float | None = None
    completed_per_second: float | None = None


@dataclass
class QueueWatch:
    """Asks CloudWatch once a minute at most, and only while there is work.

    CloudWatch is a minute or two behind; the age is carried on by the time passed since.
    Where it knows nothing (an emulator), both numbers are None and the controller falls
    back to what it derives from the queue's own counts.
    """

    cloudwatch: "CloudWatchClient"
    names: StackNames
    clock: Callable[[], float]
    period: float = 60.0
    _asked_at: float = 0.0
    _age: tuple[float, float] | None = None
    _rate: float | None = None
    _queries: list[Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._queries = [
            _query("age", "ApproximateAgeOfOldestMessage", "Maximum", self.names.req_queue),
            _query("deleted", "NumberOfMessagesDeleted", "Sum", self.names.req_queue),
        ]

    def read(self, backlog: Backlog | None) -> QueueMetrics:
        """Return what is known now."""
        now = self.clock()
        if backlog is None or not backlog.total:
            self._age = None
            return QueueMetrics(None, None)
        if now - self._asked_at >= self.period:
            self._asked_at = now
            self._ask(now)
        age = None if self._age is None else self._age[1] + max(0.0, now - self._age[0])
        return QueueMetrics(age, self._rate)

    def _ask(self, now: float) -> None:
        end = datetime.fromtimestamp(now, tz=UTC)
        self._age = self._rate = None
        try:
            answer = self.cloudwatch.get_metric_data(
                MetricDataQueries=self._queries,
                StartTime=end - _DELAY - timedelta(minutes=1),
                EndTime=end,
                ScanBy="TimestampDescending",
            )
            for result in answer["MetricDataResults"]:
                if not result.get("Values"):
                    continue
                at, value = result["Timestamps"][0].timestamp(), result["Values"][0]
                if result["Id"] == "age":
                    self._age = (at + 60, value)
                else:
                    self._rate = value / 60
        except (*CALL_ERRORS, KeyError, ValueError):
            logger.warning("CloudWatch does not answer", exc_info=True)


def _query(name: str, metric: str, stat: str, queue: str) -> Any:
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/SQS",
                "MetricName": metric,
                "Dimensions": [{"Name": "QueueName", "Value": queue}],
            },
            "Period": 60,
            "Stat": stat,
        },
    }
