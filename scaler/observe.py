"""Reads what a decision needs: the backlog from SQS, the fleet from EC2."""

from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from faces.contracts.names import ROLE_WORKER, TAG_ROLE, TAG_STACK, StackNames
from scaler.log import logger
from scaler.thin import Backlog, Worker, WorkerState

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sqs import SQSClient

_VISIBLE: Final = "ApproximateNumberOfMessages"
_IN_FLIGHT: Final = "ApproximateNumberOfMessagesNotVisible"


def read_backlog(sqs: "SQSClient", names: StackNames) -> Backlog | None:
    """Return the backlog of the req-queue, None when it cannot be read."""
    try:
        url = sqs.get_queue_url(QueueName=names.req_queue)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[_VISIBLE, _IN_FLIGHT])
        attributes = found["Attributes"]
        return Backlog(visible=int(attributes[_VISIBLE]), in_flight=int(attributes[_IN_FLIGHT]))
    except (BotoCoreError, ClientError, KeyError, ValueError):
        logger.exception("the backlog cannot be read")
        return None


def read_workers(ec2: "EC2Client", names: StackNames) -> tuple[Worker, ...] | None:
    """Return the workers that run or boot, None when they cannot be read."""
    filters = [
        {"Name": f"tag:{TAG_STACK}", "Values": [names.stack]},
        {"Name": f"tag:{TAG_ROLE}", "Values": [ROLE_WORKER]},
        {"Name": "instance-state-name", "Values": [state.value for state in WorkerState]},
    ]
    try:
        pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)  # type: ignore[arg-type]
        return tuple(
            Worker(
                instance_id=instance["InstanceId"],
                name=next((t["Value"] for t in instance["Tags"] if t["Key"] == "Name"), ""),
                state=WorkerState(instance["State"]["Name"]),
                launched_at=instance["LaunchTime"],
            )
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        )
    except (BotoCoreError, ClientError, KeyError, ValueError):
        logger.exception("the fleet cannot be read")
        return None
