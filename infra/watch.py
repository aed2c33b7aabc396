"""Dashboards and alarms: `python -m infra.watch` writes `infra/watch.json`.

Code, because a dashboard is one long JSON text that nobody reads, and because a test must
be able to ask which metrics are in it. A test compares the file with this module.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faces.contracts.names import METRICS_DIMENSION, METRICS_NAMESPACE

TARGET = Path(__file__).resolve().parent / "watch.json"
STACK = "${StackName}"
_MINUTE = 60
_HEIGHT = 6


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
    period: int = _MINUTE
    right: bool = False
    hidden: bool = False

    def render(self) -> list[Any]:
        """Return the line as CloudWatch's dashboards want it."""
        options: dict[str, Any] = {"id": self.id, "label": self.label}
        if self.right:
            options["yAxis"] = "right"
        if self.hidden:
            options["visible"] = False
        if self.dimensions:
            names = ",".join([METRICS_NAMESPACE, METRICS_DIMENSION, *self.dimensions])
            search = (
                f'SEARCH(\'{{{names}}} MetricName="{self.metric}" '
                f"{METRICS_DIMENSION}=\"{STACK}\"', '{self.statistic}', {self.period})"
            )
            return [{"expression": search, **options}]
        if self.expression:
            return [{"expression": self.expression, "period": self.period, **options}]
        return [
            METRICS_NAMESPACE,
            self.metric,
            METRICS_DIMENSION,
            STACK,
            {"stat": self.statistic, "period": self.period, **options},
        ]


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


def dashboard(charts: Sequence[Chart]) -> dict[str, Any]:
    """Return the body of a dashboard ("Dashboard body structure and syntax", CloudWatch)."""
    widgets = []
    for number, chart in enumerate(charts):
        properties: dict[str, Any] = {
            "title": chart.title,
            "view": "timeSeries",
            "stacked": chart.stacked,
            "region": "${AWS::Region}",
            "period": _MINUTE,
            "metrics": [series.render() for series in chart.series],
        }
        if chart.unit:
            properties["yAxis"] = {"left": {"label": chart.unit, "showUnits": False, "min": 0}}
        widgets.append(
            {
                "type": "metric",
                "x": 12 * (number % 2),
                "y": _HEIGHT * (number // 2),
                "width": 12,
                "height": _HEIGHT,
                "properties": properties,
            }
        )
    return {"widgets": widgets}


def _alarm(alarm: Alarm) -> dict[str, Any]:
    threshold: Any = alarm.threshold
    if isinstance(threshold, str):
        threshold = {"Ref": threshold}
    properties: dict[str, Any] = {
        "AlarmName": {"Fn::Sub": f"{STACK}-{alarm.name}"},
        "AlarmDescription": f"{alarm.runbook}: see docs/runbooks.md",
        "ComparisonOperator": alarm.comparison,
        "Threshold": threshold,
        "EvaluationPeriods": alarm.periods,
        "DatapointsToAlarm": alarm.of,
        "TreatMissingData": alarm.missing,
        "AlarmActions": [{"Ref": "AlarmTopic"}],
        "OKActions": [{"Ref": "AlarmTopic"}],
    }
    if len(alarm.series) == 1:
        (one,) = alarm.series
        properties |= {**_metric(one), "Statistic": one.statistic, "Period": one.period}
        return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}
    properties["Metrics"] = [_query(each) for each in alarm.series]
    return {"Type": "AWS::CloudWatch::Alarm", "Condition": "OnAws", "Properties": properties}


def _metric(series: Series) -> dict[str, Any]:
    return {
        "Namespace": METRICS_NAMESPACE,
        "MetricName": series.metric,
        "Dimensions": [{"Name": METRICS_DIMENSION, "Value": {"Ref": "StackName"}}],
    }


def _query(series: Series) -> dict[str, Any]:
    common = {"Id": series.id, "Label": series.label, "ReturnData": not series.hidden}
    if series.expression:
        return {**common, "Expression": series.expression}
    statistic = {
        "Metric": _metric(series),
        "Stat": series.statistic,
        "Period": series.period,
    }
    return {**common, "MetricStat": statistic}


def template() -> dict[str, Any]:
    """Return the CloudFormation template."""
    resources: dict[str, Any] = {
        "AlarmKey": {
            "Type": "AWS::KMS::Key",
            "Properties": {
                "Description": {"Fn::Sub": f"{STACK}: what alarms say"},
                "EnableKeyRotation": True,
                "KeyPolicy": _key_policy(),
            },
        },
        "AlarmTopic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "TopicName": {"Fn::Sub": f"{STACK}-alarms"},
                "KmsMasterKeyId": {"Ref": "AlarmKey"},
            },
        },
        "AlarmMail": {
            "Type": "AWS::SNS::Subscription",
            "Condition": "HasMail",
            "Properties": {
                "TopicArn": {"Ref": "AlarmTopic"},
                "Protocol": "email",
                "Endpoint": {"Ref": "AlarmMailTo"},
            },
        },
    }
    for name, charts in DASHBOARDS.items():
        resources[f"{name.capitalize()}Dashboard"] = {
            "Type": "AWS::CloudWatch::Dashboard",
            "Properties": {
                "DashboardName": {"Fn::Sub": f"{STACK}-{name}"},
                "DashboardBody": {"Fn::Sub": json.dumps(dashboard(charts), separators=(",", ":"))},
            },
        }
    for alarm in ALARMS:
        resources[f"{alarm.name}Alarm"] = _alarm(alarm)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Elastic Faces, watching: dashboards and alarms (made by infra/watch.py)",
        "Parameters": _PARAMETERS,
        "Conditions": {
            "HasMail": {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmMailTo"}, ""]}]},
            "OnAws": {"Fn::Equals": [{"Ref": "Emulated"}, "no"]},
        },
        "Resources": resources,
        "Outputs": {"AlarmTopicArn": {"Value": {"Ref": "AlarmTopic"}}},
    }


_PARAMETERS: dict[str, Any] = {
    "StackName": {
        "Type": "String",
        "AllowedPattern": "[a-z][a-z0-9-]{1,30}[a-z0-9]",
        "Description": "Starts the name of everything (FACES_STACK)",
    },
    "AlarmMailTo": {
        "Type": "String",
        "Default": "",
        "Description": "Address that alarms are sent to, once it has confirmed; nobody when empty",
    },
    "Emulated": {
        "Type": "String",
        "Default": "no",
        "AllowedValues": ["yes", "no"],
        "Description": "An emulator knows no alarms over several metrics",
    },
    "OldestSeconds": {
        "Type": "Number",
        "Default": 600,
        "MinValue": 60,
        "Description": "Age of the oldest waiting photo from which on it is an alarm",
    },
    "DailyDollars": {
        "Type": "Number",
        "Default": 50,
        "MinValue": 1,
        "Description": "What workers may cost a day before it is an alarm",
    },
}


def _key_policy() -> dict[str, Any]:
    def allow(sid: str, principal: Any, actions: Any, **condition: Any) -> dict[str, Any]:
        return {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": principal,
            "Action": actions,
            "Resource": "*",
            **condition,
        }

    root = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    own = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            allow("AccountDecides", root, "kms:*"),
            allow(
                "AlarmsArePublished",
                {"Service": "cloudwatch.amazonaws.com"},
                ["kms:Decrypt", "kms:GenerateDataKey*"],
                Condition=own,
            ),
        ],
    }


def render() -> str:
    """Return the template as text."""
    return json.dumps(template(), indent=1) + "\n"


def main() -> None:
    TARGET.write_text(render())
    sys.stdout.write(f"wrote {TARGET.name}\n")


if __name__ == "__main__":
    main()
