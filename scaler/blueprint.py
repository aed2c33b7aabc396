"""The Lambda function `scale`, once a minute."""

import functools
import os
import time
import uuid
from typing import Any

import boto3
from botocore.config import Config
from chalice.app import BaseLambdaEvent, Blueprint, Rate

from faces.contracts.scaler_settings import ScalerSettings, listed
from scaler.config import LiveSettings, fleet_config, ssm_overlay
from scaler.executor import Executor
from scaler.log import logger
from scaler.model import Backlog, Fleet, FleetConfig
from scaler.observability import report
from scaler.observe import Prices, QueueMetrics, QueueWatch, read_backlog, read_fleet
from scaler.store import StateStore, StoreUnavailableError
from scaler.template import TemplateWatch
from scaler.tick import LAST_CALL_SECONDS, Controller, run

blueprint = Blueprint(__name__)

# A call that hangs must not carry a tick over the minute.
_CLIENT = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
# A launch has its own way of asking again, by its token.
_CLIENT_ONCE = _CLIENT.merge(Config(retries={"total_max_attempts": 1}))


class TickEvent(BaseLambdaEvent):
    """A scheduled event, or `{"ticks": n}` by which an operator asks for n ticks.

    Chalice's own event class demands every field of a scheduled event.
    """

    def _extract_attributes(self, event_dict: dict[str, Any]) -> None:
        self.ticks: int | None = event_dict.get("ticks")


class World:
    """This process's clients and settings, made once.

    Attributes
    ----------
    settings : in force now.
    """

    def __init__(self) -> None:
        environment = ScalerSettings.load(os.environ)
        region = environment.region
        self.names = environment.names
        self._sqs = boto3.client("sqs", region_name=region, config=_CLIENT)
        self._ec2 = boto3.client("ec2", region_name=region, config=_CLIENT_ONCE)
        self._s3 = boto3.client("s3", region_name=region, config=_CLIENT)
        ssm = boto3.client("ssm", region_name=region, config=_CLIENT)
        cloudwatch = boto3.client("cloudwatch", region_name=region, config=_CLIENT)
        self._watch = QueueWatch(cloudwatch, self.names, time.time)
        self._template = TemplateWatch(self._ec2, self.names, time.time)
        self.settings = LiveSettings(os.environ, ssm_overlay(ssm, self.names))

    def config(self) -> tuple[FleetConfig, str | None]:
        """Read the overlay; return the limits in force and what is wrong with it."""
        return fleet_config(self.settings.refresh()), self.settings.problem

    def backlog(self) -> Backlog | None:
        return read_backlog(self._sqs, self.names)

    def fleet(self) -> Fleet | None:
        settings = self.settings.current
        parted = (each.split("=") for each in listed(settings.prices))
        prices = Prices({kind: float(price) for kind, price in parted}, settings.spot_price_ratio)
        template = self._template.read() if settings.refresh else None
        return read_fleet(self._ec2, self.names, prices, template, ready_tag=settings.ready_tag)

    def queue_metrics(self, backlog: Backlog | None) -> QueueMetrics:
        return self._watch.read(backlog)

    def controller(self, started: float) -> Controller:
        """Return a controller for one invocation, which began at monotonic `started`."""
        return Controller(
            store=StateStore(self._s3, self.names.out_bucket, uuid.uuid4().hex),
            reads=self,
            executor=Executor(
                self._ec2,
                self.names,
                in_time=lambda: time.monotonic() - started < LAST_CALL_SECONDS,
            ),
            config=self.config,
            clock=time.time,
        )


@functools.cache
def world() -> World:
    """Return this process's clients and settings, made when first asked for."""
    return World()


@blueprint.schedule(Rate(1, unit=Rate.MINUTES), name="scale")
def scale(event: TickEvent) -> dict[str, int]:
    """Fit the fleet to the backlog until the minute is nearly over."""
    logger.append_keys(request_id=getattr(event.context, "aws_request_id", None))
    made = world().controller(time.monotonic())
    done = run(
        lambda: tick(made),
        ticks=event.ticks,
        tick_seconds=lambda: world().settings.current.tick_seconds,
        monotonic=time.monotonic,
        sleep=time.sleep,
    )
    try:
        made.close()
    except StoreUnavailableError:
        logger.warning("the lease could not be given back; it expires", exc_info=True)
    return {"ticks": done}


def tick(controller: Controller) -> None:
    """Make one tick and report it; without the state, or the lease, nothing is done."""
    try:
        record = controller.tick()
    except StoreUnavailableError:
        logger.exception("the state cannot be read or written: nothing is done")
        return
    if record is None:
        logger.info("another controller holds the lease")
        return
    report(record)


scale.event_class = TickEvent
