"""The function `scale` as Lambda calls it, and what it reports."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from faces.contracts.scaler_settings import ScalerSettings
from scaler import blueprint
from scaler.model import Backlog, FleetConfig
from scaler.store import StoreUnavailableError
from scaler.tick import Controller
from tests.unit.scaler.fake_ec2 import client_error
from tests.unit.scaler.fake_world import World


@dataclass(frozen=True)
class LambdaContext:
    aws_request_id: str = "invocation-1"


@dataclass(frozen=True)
class Settings:
    current: ScalerSettings


class Process:
    """Stands in for `blueprint.World`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.settings = Settings(ScalerSettings.load({"SCALER_TICK_SECONDS": "0.001"}))

    def controller(self, started: float) -> Controller:
        return self.world.controller


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(FleetConfig(), Backlog(14, 1))
    monkeypatch.setattr(blueprint, "world", lambda: Process(made))
    return made


def invoke(payload: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> tuple[Any, list[Any]]:
    """Return the answer and the metrics of each tick."""
    answer = blueprint.scale(payload, LambdaContext())
    lines = capsys.readouterr().out.splitlines()
    return answer, [json.loads(line) for line in lines if '"_aws"' in line]


def test_each_tick_sends_its_numbers(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ec2.fail("create_fleet", client_error("InsufficientInstanceCapacity"))
    world.config = FleetConfig(cool_off_seconds=0)
    answer, sent = invoke({"ticks": 2}, capsys)
    assert answer == {"ticks": 2}
    first, second = sent
    (definition,) = first["_aws"]["CloudWatchMetrics"]
    assert (definition["Namespace"], definition["Dimensions"]) == ("ElasticFaces", [["Stack"]])
    names = [metric["Name"] for metric in definition["Metrics"]]
    assert {name: first[name] for name in names} == {
        "Backlog": [15.0],
        "OldestMessageSeconds": [0.0],
        "DesiredInstances": [3.0],
        "RunningInstances": [0.0],
        "BootingInstances": [0.0],
        "DrainingInstances": [0.0],
        "Launches": [0.0],
        "Terminations": [0.0],
        "CapacityErrors": [1.0],
        "ScalingFailures": [1.0],
        "BreakerState": [0.0],
        "ScalingSuccessRate": [0.0],
        "InstanceHours": [0.0],
        "InstanceCost": [0.0],
        "PhotosPerInstanceHour": [0.0],
    }
    assert second["Launches"] == [3.0]
    assert second["ScalingSuccessRate"] == [50.0]


def test_what_cannot_be_read_is_not_sent_as_zero(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.backlog, world.blind = None, True
    _, (sent,) = invoke({"ticks": 1}, capsys)
    missing = {"Backlog", "DesiredInstances", "RunningInstances", "BootingInstances"}
    assert not missing & set(sent)


def test_without_its_state_a_tick_does_nothing_and_the_next_tries_again(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = world.store.open
    answers = [StoreUnavailableError("away"), None]

    def failing(now: float) -> Any:
        error = answers.pop(0)
        if error is not None:
            raise error
        return opened(now)

    monkeypatch.setattr(world.store, "open", failing)
    answer, sent = invoke({"ticks": 2}, capsys)
    assert answer == {"ticks": 2}
    assert len(sent) == 1
    assert world.existing() == 3
