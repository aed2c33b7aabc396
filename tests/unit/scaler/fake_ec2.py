"""EC2 in memory, with its bad habits, as far as the scaler uses it.

Launches take time, are shown late, fall short, are refused; calls are throttled or break
after they did their work; instances die. `tests/integration/test_scaler_ec2_contract.py`
holds it to what moto does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from scaler.template import TAG_VERSION

EXISTING = frozenset({"pending", "running", "shutting-down", "stopping"})


def client_error(code: str, operation: str = "CreateFleet", status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "no"},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        operation,
    )


def timed_out() -> ReadTimeoutError:
    return ReadTimeoutError(endpoint_url="https://ec2")


def image_of(version: int) -> str:
    return f"ami-{version:017}"


@dataclass
class Machine:
    """One instance; `until` is when its passing state ends."""

    instance_id: str
    state: str
    launched_at: float
    shown_at: float
    tags: dict[str, str]
    instance_type: str = ""
    subnet: str = ""
    market: str = "on-demand"
    until: float = 0.0
    version: int = 1

    def described(self) -> dict[str, Any]:
        spot = {"InstanceLifecycle": "spot"} if self.market == "spot" else {}
        return {
            "InstanceId": self.instance_id,
            "State": {"Name": self.state},
            "LaunchTime": datetime.fromtimestamp(self.launched_at, tz=UTC),
            "InstanceType": self.instance_type,
            "SubnetId": self.subnet,
            "ImageId": image_of(self.version),
            "Tags": [
                *({"Key": key, "Value": value} for key, value in self.tags.items()),
                {"Key": TAG_VERSION, "Value": str(self.version)},
            ],
            **spot,
        }


@dataclass
class Fault:
    """What happens to the next call of an operation; `after` it did its work."""

    error: Exception
    after: bool = False


@dataclass
class FakeEc2:
    """The part of a boto3 client that the scaler calls.

    Attributes
    ----------
    boot, show, end : seconds from launch to running, from launch to being described,
        and from the call to its end.
    capacity : instances that a `(market, type, subnet)` still has; unlimited when absent.
    faults : by operation, the next ones first.
    calls : every call that may change something, in order.
    version : the latest of the launch template, from which instances are launched.
    """

    clock: Callable[[], float]
    boot: float = 0.0
    show: float = 0.0
    end: float = 0.0
    capacity: dict[tuple[str, str, str], int] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refused: list[tuple[float, tuple[str, str, str]]] = field(default_factory=list)
    ended_by: dict[str, list[str]] = field(default_factory=dict)
    page_size: int = 7
    version: int = 1
    _tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    # -- what the scaler calls

    def create_fleet(self, **asked: Any) -> dict[str, Any]:
        self.calls.append(("create_fleet", asked))
        answer: dict[str, Any] = self._faulty("create_fleet", lambda: self._create_fleet(asked))
        return answer

    def create_tags(self, *, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        self.calls.append(("create_tags", {"Resources": Resources, "Tags": Tags}))

        def work() -> None:
            for machine in self._known(Resources):
                machine.tags.update({tag["Key"]: tag["Value"] for tag in Tags})

        self._faulty("create_tags", work)

    def delete_tags(self, *, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        self.calls.append(("delete_tags", {"Resources": Resources, "Tags": Tags}))

        def work() -> None:
            for machine in self._known(Resources):
                for tag in Tags:
                    machine.tags.pop(tag["Key"], None)

        self._faulty("delete_tags", work)

    def terminate_instances(self, *, InstanceIds: list[str]) -> None:  # noqa: N803
        self.calls.append(("terminate_instances", {"InstanceIds": InstanceIds}))
        self._faulty("terminate_instances", lambda: self._end(InstanceIds, "shutting-down"))

    def stop_instances(self, *, InstanceIds: list[str]) -> None:  # noqa: N803
        self.calls.append(("stop_instances", {"InstanceIds": InstanceIds}))
        self._faulty("stop_instances", lambda: self._end(InstanceIds, "stopping"))

    def start_instances(self, *, InstanceIds: list[str]) -> None:  # noqa: N803
        self.calls.append(("start_instances", {"InstanceIds": InstanceIds}))

        def work() -> None:
            now = self.clock()
            for machine in self._known(InstanceIds):
                if machine.state != "stopped":
                    raise client_error("IncorrectInstanceState", "StartInstances")
                where = (machine.market, machine.instance_type, machine.subnet)
                if self.capacity.get(where, 1) <= 0:
                    self.refused.append((now, where))
                    raise client_error("InsufficientInstanceCapacity", "StartInstances", 500)
                if where in self.capacity:
                    self.capacity[where] -= 1
                machine.state, machine.launched_at = "pending", now
                machine.until = now + self.boot

        self._faulty("start_instances", work)

    def describe_launch_template_versions(self, **_: Any) -> dict[str, Any]:
        data = {"ImageId": image_of(self.version)}
        latest = {"VersionNumber": self.version, "LaunchTemplateData": data}
        return self._faulty(  # type: ignore[no-any-return]
            "describe_launch_template_versions", lambda: {"LaunchTemplateVersions": [latest]}
        )

    def get_paginator(self, operation: str) -> "FakeEc2":
        assert operation == "describe_instances"
        return self

    def paginate(self, *, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803
        def work() -> list[dict[str, Any]]:
            now = self.clock()
            self.settle()
            found = [
                machine.described()
                for machine in self.machines.values()
                if machine.shown_at <= now and _matches(machine, Filters)
            ]
            starts = range(0, len(found), self.page_size)
            return [
                {"Reservations": [{"Instances": found[start : start + self.page_size]}]}
                for start in starts
            ]

        pages: list[dict[str, Any]] = self._faulty("describe_instances", work)
        return pages

    # -- what the world does

    def settle(self) -> None:
        """Let passing states pass."""
        now = self.clock()
        following = {"pending": "running", "shutting-down": "terminated", "stopping": "stopped"}
        for machine in self.machines.values():
            if machine.state in following and machine.until <= now:
                machine.state = following[machine.state]

    def existing(self) -> list[Machine]:
        """Return what exists, shown or not."""
        self.settle()
        return [machine for machine in self.machines.values() if machine.state in EXISTING]

    def die(self, instance_id: str, by: str = "fate") -> None:
        """Let an instance end without the scaler."""
        self.ended_by.setdefault(instance_id, []).append(by)
        machine = self.machines[instance_id]
        machine.state, machine.until = "shutting-down", self.clock() + self.end

    def launch_elsewhere(self, number: int, tags: Mapping[str, str]) -> None:
        """Let somebody else launch."""
        self._launch(number, dict(tags), ("on-demand", "", ""))

    def fail(self, operation: str, error: Exception, *, after: bool = False) -> None:
        """Let the next call of an operation fail."""
        self.faults.setdefault(operation, []).append(Fault(error, after))

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """Return the arguments of every call of an operation."""
        return [arguments for name, arguments in self.calls if name == operation]

    def has_stopped(
        self, number: int, tags: Mapping[str, str], where: tuple[str, str, str]
    ) -> None:
        """Let there be stopped instances of a `(market, type, subnet)`."""
        for instance_id in self._launch(number, dict(tags), where):
            machine = self.machines[instance_id]
            machine.state, machine.shown_at = "stopped", 0.0

    # -- inside

    def _faulty(self, operation: str, work: Callable[[], Any]) -> Any:
        waiting = self.faults.get(operation)
        if not waiting:
            return work()
        fault = waiting.pop(0)
        if fault.after:
            work()
        raise fault.error

    def _known(self, ids: Iterable[str]) -> list[Machine]:
        missing = [each for each in ids if each not in self.machines]
        if missing:
            raise client_error("InvalidInstanceID.NotFound")
        return [self.machines[each] for each in ids]

    def _end(self, ids: list[str], state: str) -> None:
        now = self.clock()
        for machine in self._known(ids):
            if machine.state in ("pending", "running"):
                self.ended_by.setdefault(machine.instance_id, []).append("scaler")
                machine.state, machine.until = state, now + self.end
            elif machine.state == "stopped" and state == "shutting-down":
                machine.state = "terminated"

    def _launch(self, number: int, tags: dict[str, str], where: tuple[str, str, str]) -> list[str]:
        now = self.clock()
        made = []
        for _ in range(number):
            instance_id = f"i-{len(self.machines):04}"
            self.machines[instance_id] = Machine(
                instance_id,
                "pending",
                launched_at=now,
                shown_at=now + self.show,
                tags=dict(tags),
                instance_type=where[1],
                subnet=where[2],
                market=where[0],
                until=now + self.boot,
                version=self.version,
            )
            made.append(instance_id)
        return made

    def _create_fleet(self, asked: dict[str, Any]) -> dict[str, Any]:
        token = asked["ClientToken"]
        if token in self._tokens:
            first = self._tokens[token]
            if first["asked"] != asked:
                raise client_error("IdempotentParameterMismatch")
            return first["answer"]  # type: ignore[no-any-return]
        target = asked["TargetCapacitySpecification"]
        market, missing = target["DefaultTargetCapacityType"], target["TotalTargetCapacity"]
        tags = {
            tag["Key"]: tag["Value"]
            for specification in asked["TagSpecifications"]
            if specification["ResourceType"] == "instance"
            for tag in specification["Tags"]
        }
        instances, errors = [], []
        for override in asked["LaunchTemplateConfigs"][0].get("Overrides") or [{}]:
            where = (market, override.get("InstanceType", ""), override.get("SubnetId", ""))
            left = self.capacity.get(where, missing)
            got = min(missing, left)
            if where in self.capacity:
                self.capacity[where] -= got
            described = {"LaunchTemplateAndOverrides": {"Overrides": override}, "Lifecycle": market}
            if got:
                instances.append({**described, "InstanceIds": self._launch(got, tags, where)})
                missing -= got
            if left < got + missing and missing:
                self.refused.append((self.clock(), where))
                errors.append({**described, "ErrorCode": "InsufficientInstanceCapacity"})
            if not missing:
                break
        answer = {"FleetId": "fleet-1", "Instances": instances, "Errors": errors}
        self._tokens[token] = {"asked": asked, "answer": answer}
        return answer


def _matches(machine: Machine, filters: list[dict[str, Any]]) -> bool:
    for each in filters:
        name, values = each["Name"], each["Values"]
        actual = (
            machine.state
            if name == "instance-state-name"
            else machine.tags.get(name.removeprefix("tag:"))
        )
        if actual not in values:
            return False
    return True
