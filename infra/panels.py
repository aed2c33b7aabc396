"""What is on the dashboards, and what is an alarm; `infra.watch` makes a template of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MINUTE = 60


@dataclass(frozen=True)
class Series:
    """One line of a chart: a metric of ours, an expression over others, or a search.

    Attributes
    ----------
    dimensions : beside the stack; `None` as the value stands for every value (a search).
    hidden : only read by an expression.
    """

    id: str
    label: str
    metric: str = ""
    statistic: str = "Sum"
    dimensions: Mapping[str, None] = field(default_factory=dict)
    expression: str = ""
    period: int = MINUTE
    right: bool = False
    hidden: bool = False


@dataclass(frozen=True)
class Chart:
    """One widget, 12 of 24 columns wide."""

    title: str
    series: tuple[Series, ...]
    unit: str = ""
    stacked: bool = False


@dataclass(frozen=True)
class Alarm:
    """One alarm; `runbook` is the heading of its section in docs/runbooks.md.

    Attributes
    ----------
    series : the last one is compared with the threshold, the others are its inputs.
    of : so many periods must be bad of `periods`.
    missing : what no data means: `notBreaching`, `breaching` or `ignore`.
    threshold : a number, or the name of a parameter.
    """

    name: str
    runbook: str
    series: tuple[Series, ...]
    threshold: float | str
    periods: int
    of: int
    comparison: str = "GreaterThanThreshold"
    missing: str = "notBreaching"


def _one(metric: str, label: str, statistic: str = "Sum", **options: Any) -> Series:
    return Series(options.pop("id", _id(metric, statistic)), label, metric, statistic, **options)


def _id(metric: str, statistic: str) -> str:
    name = metric[0].lower() + metric[1:]
    return name if statistic == "Sum" else name + statistic.replace(".", "")


SERVICE = (
    Chart(
        "Photos",
        (
            _one("UploadsQueued", "taken in"),
            _one("UploadsRefused", "refused"),
            _one("AnswersRepeated", "answered from an earlier answer"),
            _one("DeadLetters", "given up"),
        ),
        stacked=True,
    ),
    Chart(
        "From request to result",
        tuple(_one("EndToEndSeconds", each, each) for each in ("p50", "p95", "p99")),
        unit="s",
    ),
    Chart(
        "Ended jobs by kind and state",
        (_one("JobsFinished", "", dimensions={"Kind": None, "State": None}),),
        stacked=True,
    ),
    Chart(
        "Failures by error code", (_one("Failures", "", dimensions={"Code": None}),), stacked=True
    ),
    Chart(
        "Requests to the API",
        (
            _one("Requests", "requests"),
            _one("ServerErrors", "answered 5xx"),
            _one("RequestMilliseconds", "p95, ms", "p95", right=True),
        ),
    ),
    Chart(
        "Callbacks",
        (
            _one("Callbacks", "", dimensions={"Outcome": None}),
            _one("CallbackFailures", "tries that failed"),
        ),
        stacked=True,
    ),
    Chart(
        "Stages of the worker, p95",
        tuple(
            _one(f"{stage}Milliseconds", stage.lower(), "p95")
            for stage in (
                "Fetch",
                "Decode",
                "Detect",
                "Crop",
                "Embed",
                "Match",
                "Store",
                "Announce",
            )
        ),
        unit="ms",
    ),
)

_PHOTOS_TODAY = (
    _one("InstanceCost", "cost of the day", "Maximum", id="cost", hidden=True),
    _one("InstanceHours", "instance-hours of the day", "Maximum", id="hours", hidden=True),
    _one("PhotosPerInstanceHour", "photos an hour", "Maximum", id="rate", hidden=True),
)

FLEET = (
    Chart(
        "Backlog",
        (
            _one("Backlog", "photos waiting or in hand", "Maximum"),
            _one("OldestMessageSeconds", "age of the oldest, s", "Maximum", right=True),
        ),
    ),
    Chart(
        "Workers, desired against running",
        (
            _one("DesiredInstances", "desired", "Maximum"),
            _one("RunningInstances", "running", "Average"),
            _one("BootingInstances", "booting", "Average"),
            _one("DrainingInstances", "draining", "Average"),
        ),
    ),
    Chart(
        "How much of a worker is used",
        (
            _one("Utilisation", "utilisation, %", "Average"),
            _one("Images", "photos", right=True),
        ),
        unit="%",
    ),
    Chart(
        "Cost",
        (
            *_PHOTOS_TODAY,
            Series(
                "costPerThousand",
                "dollars for 1,000 photos, of the day so far",
                expression="IF(rate * hours > 0, 1000 * cost / (rate * hours))",
            ),
            _one("InstanceCost", "dollars of the day so far", "Maximum", right=True),
        ),
    ),
    Chart(
        "Launches and ends",
        (
            _one("Launches", "launched"),
            _one("Terminations", "ended"),
            _one("CapacityErrors", "no capacity"),
            _one("ScalingFailures", "calls that failed"),
        ),
    ),
    Chart(
        "Circuit breaker and success of launches",
        (
            _one("BreakerState", "0 closed, 1 half-open, 2 open", "Maximum"),
            _one("ScalingSuccessRate", "launches that succeeded, %", "Minimum", right=True),
        ),
    ),
    Chart(
        "Breakers of the workers",
        tuple(_one(f"Breaker{name}", name, "Maximum") for name in ("S3", "SQS", "PostgreSQL")),
    ),
    Chart("Handed back to the queue", (_one("HandedBack", "photos"),)),
)

DASHBOARDS = {"service": SERVICE, "fleet": FLEET}

ALARMS = (
    Alarm(
        "OldestPhotoTooOld",
        "The oldest photo waits too long",
        (_one("OldestMessageSeconds", "age of the oldest", "Maximum"),),
        "OldestSeconds",
        periods=5,
        of=5,
    ),
    Alarm(
        "DeadLetters",
        "Dead letters",
        (_one("DeadLetters", "given up"),),
        0,
        periods=1,
        of=1,
    ),
    Alarm(
        "CallbacksGivenUp",
        "Callbacks are given up",
        (_one("CallbackFailures", "tries that failed", period=300),),
        50,
        periods=3,
        of=3,
    ),
    Alarm(
        "BreakerOpen",
        "The circuit breaker is open",
        (_one("BreakerState", "breaker", "Minimum"),),
        1.5,
        periods=3,
        of=3,
    ),
    Alarm(
        "ErrorRate",
        "The API answers errors",
        (
            _one("ServerErrors", "errors", id="errors", period=300, hidden=True),
            _one("Requests", "requests", id="requests", period=300, hidden=True),
            Series(
                "share",
                "share of requests answered 5xx, %",
                expression="IF(requests >= 20, 100 * FILL(errors, 0) / requests, 0)",
                period=300,
            ),
        ),
        2,
        periods=3,
        of=2,
    ),
    Alarm(
        "JobsFail",
        "Jobs fail inside the service",
        (
            _one("DeadLetters", "given up", id="dead", period=300, hidden=True),
            _one("UploadsQueued", "taken in", id="taken", period=300, hidden=True),
            Series(
                "share",
                "share of photos that no worker answered, %",
                expression="IF(taken >= 20, 100 * FILL(dead, 0) / taken, 0)",
                period=300,
            ),
        ),
        1,
        periods=3,
        of=2,
    ),
    Alarm(
        "NoWorker",
        "Photos wait and no worker runs",
        (
            _one("Backlog", "backlog", "Minimum", id="backlog", hidden=True),
            _one("RunningInstances", "running", "Maximum", id="running", hidden=True),
            Series("alone", "photos without a worker", expression="IF(running < 1, backlog, 0)"),
        ),
        0,
        periods=10,
        of=10,
    ),
    Alarm(
        "ScalerSilent",
        "The scaler says nothing",
        (_one("DesiredInstances", "ticks", "SampleCount", period=300),),
        1,
        periods=2,
        of=2,
        comparison="LessThanThreshold",
        missing="breaching",
    ),
    Alarm(
        "Budget",
        "The day's budget is nearly spent",
        (_one("InstanceCost", "dollars of the day", "Maximum", period=300),),
        "DailyDollars",
        periods=1,
        of=1,
    ),
)


def all_series() -> list[Series]:
    """Return every line of every chart and alarm."""
    charts = [series for charts in DASHBOARDS.values() for each in charts for series in each.series]
    return charts + [series for alarm in ALARMS for series in alarm.series]
