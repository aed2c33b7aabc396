"""One suite for the EC2 in memory and for moto's: the properties are worth what it is worth.

What moto cannot do (a pool without capacity, a late description, a token it remembers)
is tried on the one in memory alone, in tests/unit/scaler.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws

from faces.contracts.names import TAG_DRAINED, TAG_LAUNCH
from local_stack.stack import WORKER_IMAGE
from scaler.executor import Executor
from scaler.model import Decision, Fleet, FleetConfig, Instance, Market, Pool
from scaler.observe import Prices, read_fleet
from scaler.outcome import Outcome
from scaler.state import TEMPLATE_POOL, ControllerState, LaunchIntent
from scaler.template import Template, read_template
from tests.unit.scaler.fake_ec2 import FakeEc2, timed_out
from tests.unit.scaler.fake_world import NAMES

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

CONFIG = FleetConfig()
PRICES = Prices({"g4dn.xlarge": 0.5}, 0.4)


@pytest.fixture
def moto_ec2() -> Iterator["EC2Client"]:
    with mock_aws():
        client = boto3.client(
            "ec2",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_launch_template(
            LaunchTemplateName=NAMES.launch_template,
            LaunchTemplateData={"ImageId": WORKER_IMAGE, "InstanceType": "g4dn.xlarge"},
        )
        yield client


@pytest.fixture(params=["memory", "moto"])
def ec2(request: pytest.FixtureRequest) -> "EC2Client":
    if request.param == "memory":
        return cast("EC2Client", FakeEc2(clock=time.time))
    client: EC2Client = request.getfixturevalue("moto_ec2")
    return client


def intent(
    count: int, token: str = "token-1", market: str = "on-demand", *pools: Pool, at: float = 0.0
) -> LaunchIntent:
    return LaunchIntent(token, count, market, pools or (TEMPLATE_POOL,), at or time.time())


def carry_out(ec2: "EC2Client", fleet: Fleet | None = None, **steps: Any) -> Outcome:
    decision = Decision(0, ControllerState(), **steps)
    now = time.time()
    return Executor(ec2, NAMES).carry_out(decision, fleet or Fleet(), CONFIG, now)


def fleet_of(ec2: "EC2Client") -> Fleet:
    fleet = read_fleet(ec2, NAMES, PRICES, ready_tag=False)
    assert fleet is not None
    return fleet


def ids(group: Any) -> set[str]:
    return {each.instance_id for each in group}


def test_a_launch_gives_so_many_named_workers(ec2: "EC2Client") -> None:
    outcome = carry_out(ec2, launch=intent(3))
    assert len(outcome.launched) == 3
    assert outcome.failures == ()
    fleet = fleet_of(ec2)
    assert ids([*fleet.ready, *fleet.booting]) == set(outcome.launched)
    names = {each.name for each in [*fleet.ready, *fleet.booting]}
    assert names == {f"app-tier-instance-{n}" for n in (1, 2, 3)}


def test_several_types_are_asked_for_in_one_call(ec2: "EC2Client") -> None:
    pools = (Pool("g4dn.xlarge", ""), Pool("g5.xlarge", ""))
    outcome = carry_out(ec2, launch=intent(2, "t", "on-demand", *pools))
    fleet = fleet_of(ec2)
    found = [*fleet.ready, *fleet.booting]
    assert len(outcome.launched) == 2
    assert {each.pool.instance_type for each in found} <= {"g4dn.xlarge", "g5.xlarge"}


def test_spot_instances_are_known_as_such(ec2: "EC2Client") -> None:
    carry_out(ec2, launch=intent(1, "t", "spot"))
    (found,) = workers(ec2)
    assert found.market is Market.SPOT


def test_a_launch_asked_for_again_is_the_same(ec2: "EC2Client") -> None:
    first = carry_out(ec2, launch=intent(2))
    again = carry_out(ec2, launch=intent(2, at=time.time() - 5))
    assert set(again.launched) == set(first.launched)
    assert fleet_of(ec2).existing == 2


def test_claims_are_seen_confirmed_taken_back_and_ended(ec2: "EC2Client") -> None:
    first, second = carry_out(ec2, launch=intent(2)).launched
    assert carry_out(ec2, drain=(first, second)).claimed == (first, second)
    fleet = fleet_of(ec2)
    assert ids(fleet.draining) == {first, second}
    assert all(each.drain_until > time.time() + 200 for each in fleet.draining)
    assert not any(each.drained for each in fleet.draining)

    ec2.create_tags(Resources=[first], Tags=[{"Key": TAG_DRAINED, "Value": "1"}])
    confirmed = [each.instance_id for each in fleet_of(ec2).draining if each.drained]
    assert confirmed == [first]
    outcome = carry_out(ec2, rescue=(second,), terminate=(first,))
    assert outcome.terminated == (first,)
    fleet = fleet_of(ec2)
    assert ids([*fleet.ready, *fleet.booting]) == {second}
    assert not fleet.draining


def test_suspects_are_marked_and_cleared(ec2: "EC2Client") -> None:
    (made,) = carry_out(ec2, launch=intent(1)).launched
    carry_out(ec2, suspect=(made,))
    (suspect,) = fleet_of(ec2).suspect
    assert suspect.orphan_at == pytest.approx(time.time(), abs=5)
    carry_out(ec2, cleared=(made,))
    assert not fleet_of(ec2).suspect


def test_kept_and_held_workers_say_until_when(ec2: "EC2Client") -> None:
    (made,) = carry_out(ec2, launch=intent(1)).launched
    carry_out(ec2, keep=(made,))
    ec2.create_tags(Resources=[made], Tags=[{"Key": "faces:hold", "Value": "5000000000"}])
    fleet = fleet_of(ec2)
    (worker,) = [*fleet.ready, *fleet.booting]
    assert worker.keep_until == pytest.approx(time.time() + CONFIG.keep_seconds, abs=5)
    assert worker.hold_until == 5e9


def test_a_stopped_worker_starts_again_without_old_marks(ec2: "EC2Client") -> None:
    (made,) = carry_out(ec2, launch=intent(1)).launched
    fleet_of(ec2)  # by now it runs
    carry_out(ec2, drain=(made,))
    ec2.create_tags(Resources=[made], Tags=[{"Key": TAG_DRAINED, "Value": "1"}])
    assert carry_out(ec2, stop=(made,)).stopped == (made,)
    fleet = fleet_of(ec2)
    assert (ids(fleet.stopped), fleet.existing) == ({made}, 0)
    before = time.time()
    assert carry_out(ec2, start=(made,)).started == (made,)
    fleet = fleet_of(ec2)
    (worker,) = [*fleet.ready, *fleet.booting]
    assert not worker.drained
    assert worker.launched_at >= before - 2


def test_ending_twice_is_harmless_and_ending_nobody_known_no_failure(ec2: "EC2Client") -> None:
    (made,) = carry_out(ec2, launch=intent(1)).launched
    carry_out(ec2, terminate=(made,))
    carry_out(ec2, terminate=(made,))
    assert carry_out(ec2, terminate=("i-0123456789abcdef0",)).failures == ()
    assert fleet_of(ec2).paid == 0


def test_other_stacks_are_not_seen(ec2: "EC2Client") -> None:
    (made,) = carry_out(ec2, launch=intent(1)).launched
    ec2.create_tags(Resources=[made], Tags=[{"Key": "faces:stack", "Value": "another"}])
    assert fleet_of(ec2).existing == 0


def test_workers_of_an_earlier_version_of_the_template_are_outdated(ec2: "EC2Client") -> None:
    (first,) = carry_out(ec2, launch=intent(1)).launched
    template = read_template(ec2, NAMES)
    assert template is not None
    assert not template_fleet(ec2, template).outdated
    publish(ec2)
    template = read_template(ec2, NAMES)
    assert template is not None
    assert template.version == 2
    (second,) = carry_out(ec2, launch=intent(1, "token-2")).launched
    fleet = template_fleet(ec2, template)
    found = {each.instance_id: each.outdated for each in [*fleet.ready, *fleet.booting]}
    assert found == {first: True, second: False}
    assert fleet.outdated == 1


def template_fleet(ec2: "EC2Client", template: Template) -> Fleet:
    fleet = read_fleet(ec2, NAMES, PRICES, template, ready_tag=False)
    assert fleet is not None
    return fleet


def publish(ec2: "EC2Client") -> None:
    """Make a new version of the launch template, with another image."""
    if isinstance(ec2, FakeEc2):
        ec2.version += 1
        return
    # EC2 gives times in whole seconds: what was launched before is to be of an earlier one.
    begun = int(time.time())
    while int(time.time()) == begun:
        time.sleep(0.01)
    known = {image["ImageId"] for image in ec2.describe_images()["Images"]} - {WORKER_IMAGE}
    ec2.create_launch_template_version(
        LaunchTemplateName=NAMES.launch_template,
        LaunchTemplateData={"ImageId": min(known), "InstanceType": "g4dn.xlarge"},
    )


def workers(ec2: "EC2Client") -> list[Instance]:
    fleet = fleet_of(ec2)
    return [*fleet.ready, *fleet.booting]


def test_a_worker_is_counted_from_its_launch_and_named_later_if_need_be(
    moto_ec2: "EC2Client",
) -> None:
    class CannotTag:
        def __getattr__(self, name: str) -> Any:
            return getattr(moto_ec2, name)

        def create_tags(self, **_: Any) -> None:
            raise timed_out()

    outcome = carry_out(cast(Any, CannotTag()), launch=intent(1))
    assert outcome.failures == ("ReadTimeoutError",)
    (found,) = workers(moto_ec2)
    assert found.name == ""
    tags = moto_ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [found.instance_id]}])
    assert {tag["Key"] for tag in tags["Tags"]} == {"faces:stack", "faces:role", TAG_LAUNCH}
    carry_out(moto_ec2, fleet_of(moto_ec2))
    assert workers(moto_ec2)[0].name == "app-tier-instance-1"
