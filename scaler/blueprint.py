"""The Lambda function `scale`, once a minute."""

import functools
import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from chalice.app import BaseLambdaEvent, Blueprint, Rate

from faces.contracts.scaler_settings import ScalerSettings
from scaler.executor import Executor
from scaler.log import logger
from scaler.observability import report
from scaler.observe import read_backlog, read_workers
from scaler.thin import DecideConfig
from scaler.tick import Controller, Memory, run

blueprint = Blueprint(__name__)

# A call that hangs must not carry a tick over the minute.
_CLIENT = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
# Approximate counts of SQS dip to zero now and then; one reading proves nothing.
_QUIET_TICKS = 3


class TickEvent(BaseLambdaEvent):
    """A scheduled event, or `{"ticks": n}` by which an operator asks for n ticks.

    Chalice's own event class demands every field of a scheduled event.
    """

    def _extract_attributes(self, event_dict: dict[str, Any]) -> None:
        self.ticks: int | None = event_dict.get("ticks")


@functools.cache
def controller() -> Controller:
    """Return this process's controller, built when first asked for."""
    settings = ScalerSettings.load(os.environ)
    sqs = boto3.client("sqs", region_name=settings.region, config=_CLIENT)
    ec2 = boto3.client("ec2", region_name=settings.region, config=_CLIENT)
    return Controller(
        config=decide_config(settings),
        read_backlog=lambda: read_backlog(sqs, settings.names),
        read_workers=lambda: read_workers(ec2, settings.names),
        executor=Executor(ec2, settings.names),
        memory=Memory(),
        clock=lambda: datetime.now(UTC),
        tick_seconds=settings.tick_seconds,
    )


def decide_config(settings: ScalerSettings) -> DecideConfig:
    """Return the limits that the settings set."""
    return DecideConfig(
        min_instances=settings.min_instances,
        max_instances=settings.max_instances,
        messages_per_instance=settings.messages_per_instance,
        min_runtime=timedelta(seconds=settings.min_runtime_seconds),
        launch_batch=settings.launch_batch,
        quiet_time=timedelta(seconds=_QUIET_TICKS * settings.tick_seconds),
    )


@blueprint.schedule(Rate(1, unit=Rate.MINUTES), name="scale")
def scale(event: TickEvent) -> dict[str, int]:
    """Fit the fleet to the backlog until the minute is nearly over."""
    logger.append_keys(request_id=getattr(event.context, "aws_request_id", None))
    made = controller()
    done = run(
        lambda: report(made.tick()),
        ticks=event.ticks,
        tick_seconds=made.tick_seconds,
        monotonic=time.monotonic,
        sleep=time.sleep,
    )
    return {"ticks": done}


scale.event_class = TickEvent
