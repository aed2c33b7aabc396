"""Reading queue and fleet, launching and ending; with EC2 and SQS in memory."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError

from scaler.errors import Meaning, meaning
from scaler.executor import Executor, fleet_request
from scaler.model import Backlog, Decision, Fleet, FleetConfig, Instance, Market, Pool
from scaler.naming import free_names, nameless
from scaler.observe import Prices, QueueWatch, read_backlog, read_fleet
from scaler.outcome import Outcome
from scaler.state import TEMPLATE_POOL, ControllerState, LaunchIntent
from tests.unit.scaler.fake_ec2 import FakeEc2, client_error, timed_out
from tests.unit.scaler.fake_world import NAMES, START

CONFIG = FleetConfig()
PRICES = Prices({"g5.xlarge": 1.0}, spot_ratio=0.4)


@pytest.fixture
def ec2() -> FakeEc2:
    return FakeEc2(clock=lambda: START)


def launch(count: int, *pools: Pool, market: str = "on-demand", at: float = START) -> Decision:
    intent = LaunchIntent("token-1", count, market, pools or (TEMPLATE_POOL,), at)
    return Decision(count, ControllerState(), launch=intent)


def carry_out(ec2: FakeEc2, decision: Decision, fleet: Fleet | None = None) -> Outcome:
    return Executor(cast(Any, ec2), NAMES).carry_out(decision, fleet or Fleet(), CONFIG, START)


def test_one_call_asks_every_pool_and_tags_at_launch() -> None:
    pools = (Pool("g4dn.xlarge", "subnet-a"), Pool("g5.xlarge", ""))
    asked = fleet_request(LaunchIntent("t", 3, "spot", pools, START), NAMES)
    tags = [
        {"Key": "faces:stack", "Value": "faces-test"},
        {"Key": "faces:role", "Value": "worker"},
        {"Key": "faces:launch", "Value": "t"},
    ]
    assert asked == {
        "Type": "instant",
        "ClientToken": "t",
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateName": "faces-test-worker",
                    "Version": "$Latest",
                },
                "Overrides": [
                    {"InstanceType": "g4dn.xlarge", "SubnetId": "subnet-a", "Priority": 0.0},
                    {"InstanceType": "g5.xlarge", "Priority": 1.0},
                ],
            }
        ],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": 3,
            "DefaultTargetCapacityType": "spot",
        },
        "TagSpecifications": [
            {"ResourceType": "fleet", "Tags": tags},
            {"ResourceType": "instance", "Tags": tags},
        ],
        "SpotOptions": {"AllocationStrategy": "capacity-optimized-prioritized"},
    }
    plain = fleet_request(LaunchIntent("t", 3, "on-demand", (TEMPLATE_POOL,), START), NAMES)
    assert "Overrides" not in plain["LaunchTemplateConfigs"][0]


def test_new_workers_get_the_lowest_free_names(ec2: FakeEc2) -> None:
    fleet = Fleet(
        ready=[Instance("i-a", START, "app-tier-instance-1")],
        stopped=[Instance("i-b", START, "app-tier-instance-3")],
    )
    carry_out(ec2, launch(2), fleet)
    named = [each.tags["Name"] for each in ec2.machines.values()]
    assert named == ["app-tier-instance-2", "app-tier-instance-4"]


def test_a_worker_that_a_crash_left_without_a_name_gets_one(ec2: FakeEc2) -> None:
    ec2.launch_elsewhere(1, {})
    fleet = Fleet(ready=[Instance("i-0000", START)])
    carry_out(ec2, Decision(1, ControllerState()), fleet)
    assert ec2.machines["i-0000"].tags["Name"] == "app-tier-instance-1"


def test_all_but_the_first_bearer_of_a_name_get_another() -> None:
    name = "app-tier-instance-1"
    fleet = Fleet(
        ready=[Instance("i-b", START, name), Instance("i-c", START, "app-tier-instance-2")],
        booting=[Instance("i-a", START - 9, name), Instance("i-d", START, "")],
    )
    assert nameless(fleet) == (["i-b", "i-d"], {name, "app-tier-instance-2"})


def test_what_falls_short_is_learnt_by_pool(ec2: FakeEc2) -> None:
    pools = (Pool("g4dn.xlarge", "a"), Pool("g5.xlarge", "a"))
    ec2.capacity = {("spot", "g4dn.xlarge", "a"): 1, ("spot", "g5.xlarge", "a"): 1}
    outcome = carry_out(ec2, launch(5, *pools, market="spot"))
    assert len(outcome.launched) == 2
    assert outcome.capacity_errors == (("spot", pools[0]), ("spot", pools[1]))
    assert (outcome.retryable, outcome.permanent) == (0, 0)


def test_a_refusal_of_the_whole_call_for_capacity_concerns_every_pool(ec2: FakeEc2) -> None:
    ec2.fail("create_fleet", client_error("InsufficientInstanceCapacity"))
    outcome = carry_out(ec2, launch(1))
    assert outcome.capacity_errors == (("on-demand", TEMPLATE_POOL),)
    assert outcome.retryable == 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error("RequestLimitExceeded", status=503), Meaning.RETRYABLE),
        (client_error("InsufficientInstanceCapacity", status=500), Meaning.CAPACITY),
        (client_error("VcpuLimitExceeded"), Meaning.CAPACITY),
        (client_error("UnauthorizedOperation", status=403), Meaning.PERMANENT),
        (client_error("InvalidLaunchTemplateName.NotFoundException"), Meaning.PERMANENT),
        (client_error("SomethingNew", status=500), Meaning.UNKNOWN),
        (client_error("InternalError", status=500), Meaning.UNKNOWN),
        (client_error("InvalidInstanceID.NotFound"), Meaning.GONE),
        (timed_out(), Meaning.UNKNOWN),
        (ConnectTimeoutError(endpoint_url="https://ec2"), Meaning.RETRYABLE),
        (EndpointConnectionError(endpoint_url="https://ec2"), Meaning.RETRYABLE),
    ],
)
def test_what_an_error_means(error: Any, expected: Meaning) -> None:
    assert meaning(error) is expected


def test_errors_of_a_launch_are_counted_by_what_they_mean(ec2: FakeEc2) -> None:
    ec2.fail("create_fleet", client_error("RequestLimitExceeded"))
    ec2.fail("create_fleet", client_error("UnauthorizedOperation"))
    ec2.fail("create_fleet", timed_out(), after=True)
    decision = launch(1)
    assert carry_out(ec2, decision).retryable == 1
    assert carry_out(ec2, decision).permanent == 1
    unknown = carry_out(ec2, decision)
    assert (unknown.launch_unknown, unknown.retryable, unknown.launched) == (True, 1, ())


def test_one_instance_that_cannot_start_stops_no_other(ec2: FakeEc2) -> None:
    ec2.launch_elsewhere(2, {"faces:drained": "1"})
    for each in ec2.machines.values():
        each.state = "stopped"
    ec2.fail("start_instances", client_error("InsufficientInstanceCapacity"))
    outcome = carry_out(ec2, Decision(2, ControllerState(), start=("i-0000", "i-0001")))
    assert outcome.started == ("i-0001",)
    assert "faces:drained" not in ec2.machines["i-0001"].tags


def test_an_instance_that_is_gone_is_as_good_as_ended(ec2: FakeEc2) -> None:
    outcome = carry_out(ec2, Decision(0, ControllerState(), terminate=("i-gone",)))
    assert (outcome.terminated, outcome.failures) == ((), ())


def test_a_suspect_under_a_claim_stays_under_it(ec2: FakeEc2) -> None:
    ec2.launch_elsewhere(2, {})
    fleet = Fleet(draining=[Instance("i-0000", START, drain_until=START + 5)])
    carry_out(ec2, Decision(0, ControllerState(), suspect=("i-0000", "i-0001")), fleet)
    claimed, plain = (ec2.machines[each].tags for each in ("i-0000", "i-0001"))
    assert claimed["faces:drain"] == f"{START + CONFIG.drain_seconds:.0f}"
    assert claimed["faces:orphan"] == plain["faces:orphan"] == f"{START:.0f}"
    assert "faces:drain" not in plain


def test_out_of_time_nothing_new_is_begun(ec2: FakeEc2) -> None:
    executor = Executor(cast(Any, ec2), NAMES, in_time=lambda: False)
    outcome = executor.carry_out(launch(3), Fleet(), CONFIG, START)
    assert outcome.launch_unknown
    assert ec2.calls == []


def test_the_lowest_free_names_are_taken() -> None:
    taken = {"app-tier-instance-1", "app-tier-instance-3"}
    assert free_names(taken, 2) == ["app-tier-instance-2", "app-tier-instance-4"]


# -- reading


def described(ec2: FakeEc2, *, ready_tag: bool = False) -> Fleet:
    fleet = read_fleet(cast(Any, ec2), NAMES, PRICES, ready_tag=ready_tag)
    assert fleet is not None
    return fleet


def test_instances_are_sorted_by_state_and_marks(ec2: FakeEc2) -> None:
    ec2.launch_elsewhere(9, NAMES.worker_tags("w"))
    machines = list(ec2.machines.values())
    states = ["running", "pending", "running", "running", "running", "stopped", "stopping"]
    for machine, state in zip(machines, [*states, "shutting-down", "terminated"], strict=True):
        machine.state, machine.until = state, START + 99
    machines[2].tags["faces:drain"] = f"{START + 9}"
    machines[3].tags["faces:drained"] = "1"
    machines[4].tags.update({"faces:orphan": "5", "faces:drain": "9"})
    machines[0].tags["faces:hold"] = "tomorrow"
    machines[0].market, machines[0].instance_type = "spot", "g5.xlarge"
    ec2.launch_elsewhere(1, {"faces:stack": "another", "faces:role": "worker"})
    fleet = described(ec2)
    ids = {
        name: [each.instance_id for each in getattr(fleet, name)]
        for name in ("ready", "booting", "draining", "suspect", "stopped")
    }
    assert ids == {
        "ready": ["i-0000"],
        "booting": ["i-0001"],
        "draining": ["i-0002", "i-0003"],
        "suspect": ["i-0004"],
        "stopped": ["i-0005"],
    }
    assert fleet.leaving == 2
    assert fleet.ready[0].hold_until == 1.0  # unreadable: as good as expired
    assert fleet.ready[0].market is Market.SPOT
    assert fleet.hourly_price == pytest.approx(0.4)


def test_a_running_instance_boots_until_its_worker_says_so(ec2: FakeEc2) -> None:
    ec2.launch_elsewhere(2, NAMES.worker_tags("w"))
    ec2.machines["i-0001"].tags["faces:ready"] = "1"
    fleet = described(ec2, ready_tag=True)
    assert [each.instance_id for each in fleet.booting] == ["i-0000"]
    assert [each.instance_id for each in fleet.ready] == ["i-0001"]


def test_a_fleet_that_cannot_be_read_is_not_empty(ec2: FakeEc2) -> None:
    ec2.fail("describe_instances", client_error("RequestLimitExceeded"))
    assert read_fleet(cast(Any, ec2), NAMES, PRICES, ready_tag=False) is None


class FakeSqs:
    def __init__(self, queues: dict[str, tuple[str, str] | None]) -> None:
        self.queues = queues

    def get_queue_url(self, *, QueueName: str) -> dict[str, str]:  # noqa: N803
        return {"QueueUrl": QueueName}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> Any:  # noqa: N803
        counts = self.queues[QueueUrl]
        if counts is None:
            raise client_error("ServiceUnavailable")
        return {"Attributes": dict(zip(AttributeNames, counts, strict=True))}


def test_the_backlog_is_what_waits_and_what_is_in_flight_beside_the_dead() -> None:
    sqs = FakeSqs({NAMES.req_queue: ("7", "3"), NAMES.req_dlq: ("2", "0")})
    assert read_backlog(cast(Any, sqs), NAMES) == Backlog(7, 3, dead=2)


@pytest.mark.parametrize("broken", [None, ("many", "0")])
def test_a_backlog_that_cannot_be_read_is_not_zero(broken: tuple[str, str] | None) -> None:
    sqs = FakeSqs({NAMES.req_queue: ("0", "0"), NAMES.req_dlq: broken})
    assert read_backlog(cast(Any, sqs), NAMES) is None


class FakeCloudWatch:
    def __init__(self, results: list[dict[str, Any]]) -> None:
        self.results, self.asked = results, 0

    def get_metric_data(self, **_: Any) -> dict[str, Any]:
        self.asked += 1
        return {"MetricDataResults": self.results}


def test_the_age_of_the_oldest_message_is_carried_on_between_readings() -> None:
    now = START
    at = datetime.fromtimestamp(START - 90, tz=UTC)
    cloudwatch = FakeCloudWatch(
        [
            {"Id": "age", "Timestamps": [at], "Values": [40.0]},
            {"Id": "deleted", "Timestamps": [at], "Values": [120.0]},
        ]
    )
    watch = QueueWatch(cast(Any, cloudwatch), NAMES, lambda: now)
    work = Backlog(5, 0)
    assert watch.read(work).oldest_age == pytest.approx(70)
    assert watch.read(work).completed_per_second == pytest.approx(2)
    now += 10
    assert watch.read(work).oldest_age == pytest.approx(80)
    assert cloudwatch.asked == 1
    now += 60
    watch.read(work)
    assert cloudwatch.asked == 2


def test_nothing_is_asked_of_cloudwatch_while_nothing_waits() -> None:
    cloudwatch = FakeCloudWatch([])
    watch = QueueWatch(cast(Any, cloudwatch), NAMES, lambda: START)
    assert watch.read(Backlog(0, 0)).oldest_age is None
    assert cloudwatch.asked == 0
    assert watch.read(Backlog(1, 0)).oldest_age is None
    assert cloudwatch.asked == 1
