"""The function `scale` as Lambda calls it, and what it reports."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from io import StringIO
from typing import Any

import pytest

from faces.contracts.scaler_settings import ScalerSettings
from scaler import blueprint
from scaler.log import logger
from scaler.model import Backlog, Decision, FleetConfig
from scaler.outcome import Outcome
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


@pytest.fixture
def records() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Return what gives the log lines so far, as the function writes them."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger._logger.removeHandler(handler)


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
        "OutdatedInstances": [0.0],
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


def test_every_number_moves_with_what_it_counts(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Launch, boot, work, a refused launch, drain and end: each shows in its own metric."""
    world.config = FleetConfig(
        min_runtime=10, quiet_time=5, breaker_failures=1, cool_off_seconds=0, scale_out_cooldown=0
    )
    world.ec2.boot = 20

    def tick(wait: float, backlog: Backlog) -> dict[str, float]:
        world.wait(wait)
        world.workers_live()
        world.backlog = backlog
        _, (sent,) = invoke({"ticks": 1}, capsys)
        return {name: value[0] for name, value in sent.items() if isinstance(value, list)}

    launched = tick(0, Backlog(14, 1))
    assert (launched["Backlog"], launched["DesiredInstances"], launched["Launches"]) == (15, 3, 3)
    booting = tick(10, Backlog(15, 0))
    assert (booting["BootingInstances"], booting["RunningInstances"]) == (3, 0)
    assert booting["OldestMessageSeconds"] == 10
    world.ec2.version += 1
    world.ec2.fail("create_fleet", client_error("InsufficientInstanceCapacity"))
    short = tick(60, Backlog(20, 3))
    assert (short["RunningInstances"], short["CapacityErrors"]) == (3, 1)
    assert short["OutdatedInstances"] == 3
    world.ec2.version -= 1
    world.ec2.fail("create_fleet", client_error("UnauthorizedOperation"))
    broken = tick(60, Backlog(18, 2))
    assert (broken["BreakerState"], broken["ScalingFailures"]) == (2, 1)
    assert 0 < broken["ScalingSuccessRate"] < 100
    assert broken["InstanceHours"] == pytest.approx(3 * 130 / 3600, rel=0.01)
    assert broken["InstanceCost"] == pytest.approx(0.5 * broken["InstanceHours"])
    assert broken["PhotosPerInstanceHour"] > 0
    tick(5, Backlog(0, 0))
    tick(5, Backlog(0, 0))
    ended = tick(5, Backlog(0, 0))
    assert (ended["DrainingInstances"], ended["Terminations"]) == (3, 3)


def test_each_tick_logs_one_record_with_inputs_clamps_and_results(
    world: World, records: Callable[[], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    world.config = FleetConfig(max_instances=2)
    world.ec2.fail("create_fleet", client_error("InsufficientInstanceCapacity"))
    invoke({"ticks": 2}, capsys)
    first, second = (each for each in records() if each["message"] == "tick")
    assert {each["request_id"] for each in records()} == {"invocation-1"}
    assert (first["visible"], first["in_flight"], first["dead_letters"]) == (14, 1, 0)
    assert (first["wanted"], first["desired"], first["capacity"], first["launch"]) == (3, 2, 0, 2)
    assert first["reasons"] == ["held_to_maximum"]
    assert first["failures"] == ["InsufficientInstanceCapacity"]
    assert first["capacity_errors"] == [["on-demand", ["", ""]]]
    assert (first["launched"], first["breaker"]) == ([], "closed")
    assert len(first["token"]) == 32
    # No pool is left for three minutes.
    assert (second["launch"], "token" in second) == (0, False)
    assert second["reasons"] == ["held_to_maximum", "no_pool_left"]


def test_a_record_holds_every_part_of_the_decision_and_of_its_outcome(
    world: World, records: Callable[[], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    invoke({"ticks": 1}, capsys)
    (record,) = (each for each in records() if each["message"] == "tick")
    renamed = {"suspect": "suspected", "stopped": "stopped_now", "oldest_age": "oldest_seconds"}
    parts = [field.name for kind in (Decision, Outcome) for field in fields(kind)]
    # Refusals are told by the error codes in `failures`; the state is stored, not logged.
    told_otherwise = {"state", "retryable", "permanent"}
    assert {renamed.get(name, name) for name in parts} - told_otherwise <= record.keys()


def test_each_invocation_logs_its_own_request_id(
    world: World, records: Callable[[], list[dict[str, Any]]]
) -> None:
    for name in ("first", "second"):
        blueprint.scale({"ticks": 1}, LambdaContext(name))
    ids = [each["request_id"] for each in records() if each["message"] == "tick"]
    assert ids == ["first", "second"]


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
