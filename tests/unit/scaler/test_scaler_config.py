"""Settings that change while the scaler runs, and what they mean to decisions."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from faces.contracts.names import StackNames
from faces.contracts.scaler_settings import ScalerSettings
from faces.contracts.scaler_tuning import ScalerTuning
from faces.contracts.settings import SettingsError
from scaler.config import LiveSettings, apply_overlay, fleet_config, overlay_name
from scaler.model import FleetConfig, Market, Pool, Rule, ScaleIn
from scaler.simulator.ours import flow_config
from scaler.simulator.traces import make_trace

ENVIRON = {"SCALER_MAX_INSTANCES": "10"}


def test_the_defaults_of_settings_and_decisions_are_the_same() -> None:
    assert fleet_config(ScalerSettings.load({})) == FleetConfig()


def test_lists_of_types_zones_and_markets() -> None:
    made = fleet_config(
        ScalerSettings.load(
            {
                "SCALER_INSTANCE_TYPES": "g5.xlarge, g4dn.xlarge",
                "SCALER_SUBNETS": "subnet-a,subnet-b",
                "SCALER_MARKETS": "spot,on-demand",
                "SCALER_RULE": "latency",
                "SCALER_SCALE_IN": "surplus",
                "SCALER_BUDGET_HOURS": "12",
            }
        )
    )
    assert made.pools == (
        Pool("g5.xlarge", "subnet-a"),
        Pool("g5.xlarge", "subnet-b"),
        Pool("g4dn.xlarge", "subnet-a"),
        Pool("g4dn.xlarge", "subnet-b"),
    )
    assert made.markets == (Market.SPOT, Market.ON_DEMAND)
    assert (made.rule, made.scale_in, made.budget_hours) == (Rule.LATENCY, ScaleIn.SURPLUS, 12)


def test_an_overlay_is_over_the_environment() -> None:
    settings = apply_overlay(ENVIRON, '{"SCALER_MAX_INSTANCES": 30, "SCALER_DRY_RUN": true}')
    assert (settings.max_instances, settings.dry_run) == (30, True)
    assert apply_overlay(ENVIRON, None).max_instances == 10


@pytest.mark.parametrize(
    "bad",
    [
        "no JSON",
        "[]",
        '{"SCALER_MAX_INSTANCES": -1}',
        '{"SCALER_MAX_INSTANSES": 5}',
        '{"FACES_STACK": "another"}',
        '{"SCALER_MIN_INSTANCES": 20}',
        '{"SCALER_PRICES": "cheap"}',
        '{"SCALER_MAX_INSTANCES": [5]}',
    ],
)
def test_a_bad_overlay_keeps_what_was_and_is_reported(bad: str) -> None:
    overlay: str | None = '{"SCALER_MAX_INSTANCES": 12}'
    live = LiveSettings(ENVIRON, lambda: overlay)
    assert live.refresh().max_instances == 12
    overlay = bad
    assert live.refresh().max_instances == 12
    assert live.problem
    with pytest.raises(SettingsError):
        apply_overlay(ENVIRON, bad)
    overlay = None
    assert live.refresh().max_instances == 10
    assert live.problem is None


def test_an_overlay_that_cannot_be_read_changes_nothing() -> None:
    answers: list[str | OSError] = [json.dumps({"SCALER_MAX_INSTANCES": 12}), OSError("away")]

    def read() -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    live = LiveSettings(ENVIRON, read)
    live.refresh()
    assert live.refresh().max_instances == 12
    assert live.problem == "the overlay cannot be read: away"


def test_the_overlay_is_a_parameter_of_the_stack() -> None:
    assert overlay_name(StackNames("faces-test")) == "/faces-test/scaler"


def test_the_profile_that_the_documentation_gives_is_the_one_that_was_simulated() -> None:
    page = Path(__file__).parents[3] / "docs" / "scaling-simulation.md"
    lines = re.findall(r"^    (SCALER_\w+)=(.+)$", page.read_text(), re.MULTILINE)
    trace = make_trace("burst", scale=0.01)
    simulated = replace(flow_config(trace), pools=FleetConfig().pools)
    assert fleet_config(ScalerSettings.load(dict(lines))) == simulated


@pytest.mark.parametrize("name", sorted(ScalerTuning.__annotations__))
def test_every_number_of_the_decisions_reaches_them(name: str) -> None:
    """Each changed alone changes the limits, and one out of its bounds is refused."""
    field = ScalerTuning.model_fields[name]
    assert field.alias is not None
    other = float(field.default) * 0.9 if name != "spike_floor" else 40
    assert fleet_config(ScalerSettings.load({field.alias: f"{other:g}"})) != FleetConfig()
    with pytest.raises(SettingsError, match=field.alias):
        apply_overlay({}, json.dumps({field.alias: -1}))
