"""Carries a decision out at EC2."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from faces.contracts.names import WORKER_NAME_PREFIX, StackNames
from scaler.log import logger
from scaler.thin import Decision, Worker, WorkerState

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True)
class Outcome:
    """What became of a decision; failures are tried again by the next tick's decision."""

    launched: tuple[Worker, ...] = ()
    terminated: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


class Executor:
    """Launches and ends the workers of one stack."""

    def __init__(self, ec2: "EC2Client", names: StackNames) -> None:
        self._ec2 = ec2
        self._names = names

    def carry_out(self, decision: Decision, workers: Sequence[Worker], now: datetime) -> Outcome:
        """Launch and end as decided; an error of EC2 is reported, not raised.

        Each worker is launched by a call of its own, because its name is a tag and the
        tags of a call are the same for all its instances. Tagged at launch, no instance
        can ever be one that nobody counts.
        """
        launched: list[Worker] = []
        failures: list[str] = []
        for name in free_names({worker.name for worker in workers}, decision.launch):
            try:
                launched.append(self._launch(name, now))
            except (BotoCoreError, ClientError) as error:
                logger.exception("launch failed")
                failures.append(_code(error))
        terminated: tuple[str, ...] = ()
        if decision.terminate:
            try:
                self._ec2.terminate_instances(InstanceIds=list(decision.terminate))
                terminated = decision.terminate
            except (BotoCoreError, ClientError) as error:
                logger.exception("termination failed")
                failures.append(_code(error))
        return Outcome(tuple(launched), terminated, tuple(failures))

    def _launch(self, name: str, now: datetime) -> Worker:
        tags = self._names.worker_tags(name)
        answer = self._ec2.run_instances(
            LaunchTemplate={
                "LaunchTemplateName": self._names.launch_template,
                "Version": "$Latest",
            },
            MinCount=1,
            MaxCount=1,
            ClientToken=client_token(name, now),
            TagSpecifications=[
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                }
            ],
        )
        instance_id = answer["Instances"][0]["InstanceId"]
        return Worker(instance_id, name, WorkerState.PENDING, now)


def free_names(taken: Collection[str], number: int) -> list[str]:
    """Return the `number` lowest worker names that no worker bears."""
    free: list[str] = []
    for position in count(1):
        if len(free) == number:
            return free
        name = f"{WORKER_NAME_PREFIX}{position}"
        if name not in taken:
            free.append(name)
    raise AssertionError("count never ends")


def client_token(name: str, now: datetime) -> str:
    """Return the token of one launch: a repeated call with it launches nothing more.

    At most 64 ASCII characters (EC2 API reference, "Ensuring idempotency").
    """
    return f"{name}-{round(now.timestamp() * 1000)}"


def _code(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code", "Unknown")
    return type(error).__name__
