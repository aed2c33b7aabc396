"""What an operator can do while the scaler runs."""

import json
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from faces.contracts.settings import SettingsError
from scaler.control import Control, parser, run
from scaler.state import Breaker, BreakerState, ControllerState
from scaler.store import STATE_KEY, StateStore
from tests.unit.scaler.fake_ec2 import FakeEc2, client_error
from tests.unit.scaler.fake_world import NAMES, START, FakeS3


class FakeSsm:
    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803
        if Name not in self.values:
            raise client_error("ParameterNotFound", "GetParameter")
        return {"Parameter": {"Value": self.values[Name]}}

    def put_parameter(self, *, Name: str, Value: str, **_: Any) -> None:  # noqa: N803
        self.values[Name] = Value


class Desk:
    def __init__(self) -> None:
        self.now = START
        self.ssm, self.s3 = FakeSsm(), FakeS3()
        self.ec2 = FakeEc2(clock=lambda: self.now)
        self.s3.exceptions = type("E", (), {"NoSuchKey": ClientError})  # type: ignore[attr-defined]
        self.control = Control(
            NAMES,
            cast(Any, self.ssm),
            cast(Any, self.s3),
            cast(Any, self.ec2),
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def do(self, *words: str) -> dict[str, Any]:
        return run(self.control, parser().parse_args(words))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_settings_are_set_and_unset(desk: Desk) -> None:
    desk.do("set", "SCALER_MAX_INSTANCES=30", "SCALER_RULE=latency")
    assert desk.do("unset", "SCALER_RULE") == {"overlay": {"SCALER_MAX_INSTANCES": "30"}}
    assert json.loads(desk.ssm.values["/faces-test/scaler"]) == {"SCALER_MAX_INSTANCES": "30"}


def test_what_the_scaler_would_refuse_is_refused_here(desk: Desk) -> None:
    with pytest.raises(SettingsError):
        desk.do("set", "SCALER_MAX_INSTANCES=many")
    assert desk.ssm.values == {}


@pytest.mark.parametrize("text", ["not JSON", "[1]", "5"])
def test_a_damaged_overlay_is_told_with_what_to_do(desk: Desk, text: str) -> None:
    desk.ssm.values["/faces-test/scaler"] = text
    for words in (["show"], ["set", "SCALER_RULE=flow"], ["pause", "--minutes", "5"]):
        with pytest.raises(SettingsError, match="delete-parameter --name /faces-test/scaler"):
            desk.do(*words)
    assert desk.ssm.values["/faces-test/scaler"] == text


@pytest.mark.parametrize("minutes", ["0", "-5", "inf", "nan", "10081", "soon"])
@pytest.mark.parametrize("verb", [["pause"], ["hold", "i-0000"]])
def test_neither_a_pause_nor_a_hold_is_for_ever(
    desk: Desk, verb: list[str], minutes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        desk.do(*verb, "--minutes", minutes)
    assert "--minutes" in capsys.readouterr().err


def test_a_pause_expires_and_can_be_ended(desk: Desk) -> None:
    assert desk.do("pause", "--minutes", "30") == {"paused_until": START + 1800}
    assert desk.do("resume")["overlay"] == {}


def test_a_hold_says_until_when(desk: Desk) -> None:
    desk.ec2.launch_elsewhere(1, {})
    desk.do("hold", "i-0000", "--minutes", "10")
    tags = desk.ec2.machines["i-0000"].tags
    # An idle worker would end itself, held or not.
    assert tags["faces:hold"] == tags["faces:keep"] == f"{START + 600:.0f}"
    desk.do("hold", "i-0000")
    assert tags["faces:hold"] == f"{START + 3600:.0f}"


def test_the_breaker_is_closed_between_two_invocations(desk: Desk) -> None:
    other = StateStore(cast(Any, desk.s3), "bucket", "invocation")
    other.open(START)
    other.save(ControllerState(sequence=7, breaker=Breaker(BreakerState.OPEN, 5)), START)
    desk.do("close-breaker")
    document = desk.s3.document(STATE_KEY)
    assert (document["state"]["breaker"]["state"], document["state"]["sequence"]) == ("closed", 7)
    assert document["lease"]["until"] == 0
    assert desk.now > START + 59


def test_what_is_stored_is_shown(desk: Desk) -> None:
    assert desk.do("show") == {"overlay": {}}
    StateStore(cast(Any, desk.s3), "bucket", "invocation").open(START)
    assert desk.do("show")["lease"]["holder"] == "invocation"
