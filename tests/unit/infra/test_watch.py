"""Dashboards and alarms: of metrics that the code emits, and each alarm with a runbook."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faces.contracts.names import METRICS_DIMENSION, METRICS_NAMESPACE
from gpu_worker.metrics import Metrics
from gpu_worker.pipeline import Breakers
from infra import panels, watch
from local_stack.build import ROOT
from scaler.decide import decide
from scaler.model import Backlog, Fleet, FleetConfig, Observation
from scaler.observability import numbers
from scaler.outcome import Outcome
from scaler.state import ControllerState
from scaler.tick import TickRecord

Emitted = set[tuple[str, frozenset[str]]]


def of_front_end() -> Emitted:
    """What `chalice_app` emits, from its calls: `add_metric("X", ...)`, `count("X", {...})`."""
    found: Emitted = set()
    for path in sorted((ROOT / "chalice_app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.args[0]
            if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
                continue
            called = ast.unparse(node.func)
            if called == "metrics.add_metric":
                found.add((name.value, frozenset()))
            elif called == "count" and isinstance(node.args[1], ast.Dict):
                keys = frozenset(ast.literal_eval(key) for key in node.args[1].keys if key)
                found.add((name.value, keys))
    return found


def of_worker() -> Emitted:
    """What the worker's metrics write after every stage has run, from the lines themselves."""
    lines: list[dict[str, Any]] = []
    metrics = Metrics(
        "x", "i-1", Breakers.make().all(), lambda line: lines.append(json.loads(line))
    )
    for stage in ("fetch", "decode", "detect", "crop", "embed", "match", "store", "announce"):
        metrics.stage(stage, 0.1, 2)
    metrics.flush()
    return {
        (metric["Name"], frozenset(dimensions) - {METRICS_DIMENSION})
        for line in lines
        for directive in line["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


def of_scaler() -> Emitted:
    """What the scaler reports of a tick in which everything could be read."""
    seen = Observation(Backlog(1, 1), Fleet(), ControllerState(), read_at=0)
    decision = decide(seen, FleetConfig(), 0)
    record = TickRecord(0, seen, decision, Outcome(), decision.state)
    return {(name, frozenset()) for name in numbers(record)}


@pytest.fixture(scope="module")
def emitted() -> Emitted:
    return of_front_end() | of_worker() | of_scaler()


def wanted() -> Iterator[tuple[str, frozenset[str]]]:
    for series in panels.all_series():
        if series.metric:
            yield series.metric, frozenset(series.dimensions)


def test_every_metric_of_a_chart_or_an_alarm_is_emitted_with_its_dimensions(
    emitted: Emitted,
) -> None:
    assert set(wanted()) <= emitted


def test_a_metric_that_nobody_emits_would_be_found(emitted: Emitted) -> None:
    assert ("ImagesPerDay", frozenset()) not in emitted
    assert ("JobsFinished", frozenset()) not in emitted


def test_the_template_is_what_the_code_makes() -> None:
    assert watch.TARGET.read_text() == watch.render(), "run `make docs`"


def test_the_template_names_no_other_metric() -> None:
    text = watch.render()
    known = {metric for metric, _ in wanted()}
    assert set(re.findall(r'"MetricName": "(\w+)"', text)) <= known
    assert set(re.findall(r'MetricName=\\+"(\w+)', text)) <= known
    assert set(re.findall(r'"Namespace": "([\w/]+)"', text)) == {METRICS_NAMESPACE}


def test_expressions_read_lines_that_are_there() -> None:
    inputs = [chart.series for charts in panels.DASHBOARDS.values() for chart in charts]
    inputs += [alarm.series for alarm in panels.ALARMS]
    for series in inputs:
        ids = [each.id for each in series]
        assert len(set(ids)) == len(ids)
        for each in series:
            read = set(re.findall(r"\b[a-z]\w*\b", each.expression))
            assert read <= set(ids) - {each.id}


def test_an_alarm_with_inputs_answers_by_its_last_line_alone() -> None:
    for alarm in panels.ALARMS:
        assert [each.hidden for each in alarm.series] == [True] * (len(alarm.series) - 1) + [False]


@pytest.mark.parametrize("name", panels.DASHBOARDS)
def test_a_dashboard_is_laid_out_without_overlaps(name: str) -> None:
    body = json.loads(json.dumps(watch.dashboard(panels.DASHBOARDS[name])))
    places = [(each["x"], each["y"]) for each in body["widgets"]]
    assert len(set(places)) == len(places)
    assert all(each["x"] + each["width"] <= 24 for each in body["widgets"])
    assert all(each["properties"]["metrics"] for each in body["widgets"])


def test_each_alarm_has_a_runbook() -> None:
    headings = set(re.findall(r"^## (.+)$", Path(ROOT / "docs/runbooks.md").read_text(), re.M))
    assert {alarm.runbook for alarm in panels.ALARMS} <= headings


def test_the_alarms_that_were_asked_for_are_there() -> None:
    assert {alarm.name for alarm in panels.ALARMS} >= {
        "OldestPhotoTooOld",
        "DeadLetters",
        "BreakerOpen",
        "ErrorRate",
        "NoWorker",
        "Budget",
    }
