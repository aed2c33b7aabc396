"""Dashboards and alarms: `python -m infra.watch` writes `infra/watch.json`.

Code, because a dashboard is one long JSON text that nobody reads, and because a test must
be able to ask which metrics are in it. A test compares the file with this module.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faces.contracts.names import METRICS_DIMENSION, METRICS_NAMESPACE
from infra.panels import ALARMS, DASHBOARDS, MINUTE, Alarm, Chart, Series

TARGET = Path(__file__).resolve().parent / "watch.json"
STACK = "${StackName}"
_HEIGHT = 6


def _line(series: Series) -> list[Any]:
    """Return the line as CloudWatch's dashboards want it."""
    options: dict[str, Any] = {"id": series.id, "label": series.label}
    if series.right:
        options["yAxis"] = "right"
    if series.hidden:
        options["visible"] = False
    if series.dimensions:
        names = ",".join([METRICS_NAMESPACE, METRICS_DIMENSION, *series.dimensions])
        search = (
            f'SEARCH(\'{{{names}}} MetricName="{series.metric}" '
            f"{METRICS_DIMENSION}=\"{STACK}\"', '{series.statistic}', {series.period})"
        )
        return [{"expression": search, **options}]
    if series.expression:
        return [{"expression": series.expression, "period": series.period, **options}]
    return [
        METRICS_NAMESPACE,
        series.metric,
        METRICS_DIMENSION,
        STACK,
        {"stat": series.statistic, "period": series.period, **options},
    ]


def dashboard(charts: Sequence[Chart]) -> dict[str, Any]:
    """Return the body of a dashboard ("Dashboard body structure and syntax", CloudWatch)."""
    widgets = []
    for number, chart in enumerate(charts):
        properties: dict[str, Any] = {
            "title": chart.title,
            "view": "timeSeries",
            "stacked": chart.stacked,
            "region": "${AWS::Region}",
            "period": MINUTE,
            "metrics": [_line(series) for series in chart.series],
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
