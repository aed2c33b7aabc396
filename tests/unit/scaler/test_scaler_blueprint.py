"""The function `scale` as Lambda calls it, and what it reports."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scaler import blueprint
from scaler.executor import Outcome
from scaler.thin import Backlog, DecideConfig, Decision, Worker, WorkerState
from scaler.tick import Controller, Memory

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class LambdaContext:
    aws_request_id: str = "invocation-1"


class Launches:
    """Launches all but one of what is asked for."""

    def carry_out(self, decision: Decision, workers: Any, now: datetime) -> Outcome:
        made = tuple(
            Worker(f"i-{len(workers) + n}", "", WorkerState.PENDING, now)
            for n in range(decision.launch - 1)
        )
        return Outcome(made, decision.terminate, ("InsufficientInstanceCapacity",))


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Controller:
    made = Controller(
        config=DecideConfig(0, 15, 5, timedelta(seconds=300), 5, timedelta(seconds=15)),
        read_backlog=lambda: Backlog(14, 1),
        read_workers=lambda: (Worker("i-0", "", WorkerState.RUNNING, NOW),),
        executor=Launches(),
        memory=Memory(),
        clock=lambda: NOW,
        tick_seconds=0.001,
    )
    monkeypatch.setattr(blueprint, "controller", lambda: made)
    return made


def invoke(payload: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> tuple[Any, list[Any]]:
    """Return the answer and the metrics of each tick."""
    answer = blueprint.scale(payload, LambdaContext())
    lines = capsys.readouterr().out.splitlines()
    return answer, [json.loads(line) for line in lines if '"_aws"' in line]


def test_each_tick_sends_its_numbers(
    controller: Controller, capsys: pytest.CaptureFixture[str]
) -> None:
    answer, sent = invoke({"ticks": 2}, capsys)
    assert answer == {"ticks": 2}
    first, second = sent
    (definition,) = first["_aws"]["CloudWatchMetrics"]
    assert (definition["Namespace"], definition["Dimensions"]) == ("ElasticFaces", [["Stack"]])
    names = [metric["Name"] for metric in definition["Metrics"]]
    assert {name: first[name] for name in names} == {
        "Backlog": [15.0],
        "DesiredInstances": [3.0],
        "RunningInstances": [1.0],
        "BootingInstances": [0.0],
        "Launches": [1.0],
        "Terminations": [0.0],
        "ScalingFailures": [1.0],
    }
    assert second["BootingInstances"] == [1.0]


def test_what_cannot_be_read_is_not_sent_as_zero(
    controller: Controller, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = replace(controller, read_backlog=lambda: None, read_workers=lambda: None)
    monkeypatch.setattr(blueprint, "controller", lambda: blind)
    _, (sent,) = invoke({"ticks": 1}, capsys)
    assert not {"Backlog", "DesiredInstances", "RunningInstances", "BootingInstances"} & set(sent)
