"""EC2 in memory, as far as the scaler uses it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def client_error(code: str, operation: str = "RunInstances") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


@dataclass
class FakeEc2:
    """Remembers every call; errors are raised first, one a launch.

    Attributes
    ----------
    page_size : instances in one page of a description.
    """

    instances: list[dict[str, Any]] = field(default_factory=list)
    launches: list[dict[str, Any]] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    errors: list[Exception | None] = field(default_factory=list)
    page_size: int = 2
    filters: list[dict[str, Any]] = field(default_factory=list)

    def run_instances(self, **asked: Any) -> dict[str, Any]:
        self.launches.append(asked)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        instance = {
            "InstanceId": f"i-{len(self.launches)}",
            "State": {"Name": "pending"},
            "LaunchTime": NOW,
            "Tags": asked["TagSpecifications"][0]["Tags"],
        }
        self.instances.append(instance)
        return {"Instances": [instance]}

    def terminate_instances(self, **asked: Any) -> None:
        if self.errors:
            error = self.errors.pop(0)
            if error is not None:
                raise error
        self.terminated += asked["InstanceIds"]

    def get_paginator(self, operation: str) -> "FakeEc2":
        assert operation == "describe_instances"
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        self.filters = asked["Filters"]
        if self.errors:
            error = self.errors.pop(0)
            if error is not None:
                raise error
        starts = range(0, len(self.instances), self.page_size)
        return [
            {"Reservations": [{"Instances": self.instances[start : start + self.page_size]}]}
            for start in starts
        ]
