"""Instances that the scaler launches are workers, and die as such."""

import os
import signal
from typing import TYPE_CHECKING

import boto3
import psutil
import pytest

from faces.client import Client
from faces.contracts.names import TAG_ROLE, TAG_STACK
from local_stack.demo import photos
from local_stack.stack import LocalStack
from tests.e2e.waiting import eventually

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

# The schedule fires once a minute.
SCALER_SECONDS = 75
WORKER = "worker "


@pytest.fixture
def ec2(stack: LocalStack) -> "EC2Client":
    environment = stack.client_environment()
    return boto3.client(
        "ec2",
        endpoint_url=environment["AWS_ENDPOINT_URL_EC2"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def instances(ec2: "EC2Client", stack: LocalStack, *states: str) -> "list[InstanceTypeDef]":
    pages = ec2.describe_instances(
        Filters=[
            {"Name": f"tag:{TAG_STACK}", "Values": [stack.settings.stack]},
            {"Name": "instance-state-name", "Values": list(states)},
        ]
    )
    return [each for reservation in pages["Reservations"] for each in reservation["Instances"]]


def workers(stack: LocalStack) -> dict[str, int]:
    """Return the pid of each running worker by its instance."""
    return {
        part.name.removeprefix(WORKER): part.pid
        for part in stack.parts()
        if part.name.startswith(WORKER) and part.pid is not None
    }


def test_the_scaler_launches_tagged_instances_that_become_workers(
    stack: LocalStack, ec2: "EC2Client"
) -> None:
    running = eventually(lambda: workers(stack), "a worker runs", SCALER_SECONDS)
    launched = {each["InstanceId"]: each for each in instances(ec2, stack, "running")}
    assert set(running) <= set(launched)
    for instance in launched.values():
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert tags["Name"].startswith("app-tier-instance-")
        assert tags[TAG_ROLE] == "worker"
    for pid in running.values():
        assert "gpu_worker" in psutil.Process(pid).cmdline()


def test_a_result_names_the_instance_it_was_made_on(
    client: Client, stack: LocalStack, ec2: "EC2Client"
) -> None:
    result = client.identify(photos.coffee(), timeout=90)
    known = instances(ec2, stack, "running", "shutting-down", "terminated")
    assert result.worker_id in {each["InstanceId"] for each in known}


def test_a_killed_worker_ends_its_instance_and_another_comes(
    client: Client, stack: LocalStack, ec2: "EC2Client"
) -> None:
    before = eventually(lambda: workers(stack), "a worker runs", SCALER_SECONDS)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def all_terminated() -> bool:
        ended = {each["InstanceId"] for each in instances(ec2, stack, "terminated")}
        return set(before) <= ended

    eventually(all_terminated, "the killed workers' instances are terminated", 15)
    eventually(lambda: set(workers(stack)) - set(before), "another worker runs", SCALER_SECONDS)
    result = client.identify(photos.coffee(), timeout=90)
    assert result.worker_id not in before
