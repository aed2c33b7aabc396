"""The scaler's settings; what each of them does to a decision stands in docs/scaling.md."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from faces.contracts.scaler_tuning import ScalerTuning

_PRICE = re.compile(r"[a-z0-9.-]+=\d+(\.\d+)?")


def listed(text: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated text."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _check_prices(text: str) -> str:
    for part in listed(text):
        if not _PRICE.fullmatch(part):
            raise ValueError(f"{part!r} is not type=dollars, as g4dn.xlarge=0.526 is")
    return text


class ScalerSettings(ScalerTuning):
    """The scaler's settings; an overlay can change them while it runs."""

    rule: str = Field(
        default="given",
        alias="SCALER_RULE",
        pattern="^(given|latency|flow)$",
        description="`given`: a worker for so many messages; `latency`: as many as the "
        "latency target needs; `flow`: that, and as many as the load keeps busy",
    )
    min_instances: int = Field(
        default=0,
        ge=0,
        alias="SCALER_MIN_INSTANCES",
        description="Workers that run even when nothing waits (the local stack sets 1)",
    )
    max_instances: int = Field(
        default=15,
        ge=0,
        alias="SCALER_MAX_INSTANCES",
        description="Never more workers than this, whoever launches them",
    )
    messages_per_instance: int = Field(
        default=5,
        ge=1,
        alias="SCALER_MESSAGES_PER_INSTANCE",
        description="Waiting messages for which one worker is wanted",
    )
    latency_target_seconds: float = Field(
        default=120,
        gt=0,
        alias="SCALER_LATENCY_TARGET_SECONDS",
        description="Rules `latency` and `flow`: time from a photo's arrival to its result",
    )
    min_runtime_seconds: float = Field(
        default=300,
        ge=0,
        alias="SCALER_MIN_RUNTIME_SECONDS",
        description="A worker is not ended by the scaler before it ran for so long",
    )
    launch_batch: int = Field(
        default=5,
        ge=1,
        alias="SCALER_LAUNCH_BATCH",
        description="At most so many launches a tick",
    )
    tick_seconds: float = Field(
        default=5,
        gt=0,
        le=60,
        alias="SCALER_TICK_SECONDS",
        description="Time between two looks at the queue",
    )
    scale_in: str = Field(
        default="empty",
        alias="SCALER_SCALE_IN",
        pattern="^(empty|surplus)$",
        description="Give workers up when the queue stays `empty`, or any `surplus`",
    )
    quiet_seconds: float = Field(
        default=15,
        ge=0,
        alias="SCALER_QUIET_SECONDS",
        description="An empty queue counts as empty when it stayed so for so long",
    )
    scale_in_window_seconds: float = Field(
        default=120,
        ge=0,
        alias="SCALER_SCALE_IN_WINDOW_SECONDS",
        description="`surplus`: what was wanted within this time is not given up",
    )
    scale_out_cooldown_seconds: float = Field(
        default=0,
        ge=0,
        alias="SCALER_SCALE_OUT_COOLDOWN_SECONDS",
        description="Least time between two launches",
    )
    scale_in_cooldown_seconds: float = Field(
        default=0,
        ge=0,
        alias="SCALER_SCALE_IN_COOLDOWN_SECONDS",
        description="Least time between two drains",
    )
    boot_deadline_seconds: float = Field(
        default=600,
        gt=0,
        alias="SCALER_BOOT_DEADLINE_SECONDS",
        description="An instance whose worker is not ready by then is suspected to be dead",
    )
    ready_tag: bool = Field(
        default=False,
        alias="SCALER_READY_TAG",
        description="Whether workers say by the tag faces:ready when they are ready; "
        "otherwise an instance that EC2 calls running counts as ready (`make deploy` sets true)",
    )
    drain_seconds: float = Field(
        default=300,
        ge=60,
        alias="SCALER_DRAIN_SECONDS",
        description="How long a worker may take to finish what it holds",
    )
    keep_seconds: float = Field(
        default=600,
        ge=60,
        alias="SCALER_KEEP_SECONDS",
        description="How long a worker of the minimum does not end itself when the scaler "
        "is not heard of any more",
    )
    instance_types: str = Field(
        default="",
        alias="SCALER_INSTANCE_TYPES",
        pattern=r"^[a-z0-9., -]*$",
        description="Instance types in order of preference; the launch template's when empty",
    )
    subnets: str = Field(
        default="",
        alias="SCALER_SUBNETS",
        pattern=r"^[a-z0-9, -]*$",
        description="Subnets, one a zone; the account's default one when empty",
    )
    markets: str = Field(
        default="on-demand",
        alias="SCALER_MARKETS",
        pattern=r"^(spot|on-demand|spot,on-demand)$",
        description="How instances are bought; `spot,on-demand` falls back to on-demand",
    )
    prices: Annotated[str, AfterValidator(_check_prices)] = Field(
        default="g4dn.xlarge=0.526,g5.xlarge=1.006",
        alias="SCALER_PRICES",
        description="Dollars an hour on demand, by instance type, for the cost metric",
    )
    spot_price_ratio: float = Field(
        default=0.4,
        gt=0,
        le=1,
        alias="SCALER_SPOT_PRICE_RATIO",
        description="What spot costs of the on-demand price, for the cost metric",
    )
    budget_hours: float = Field(
        default=0,
        ge=0,
        alias="SCALER_BUDGET_HOURS",
        description="Instance-hours of a UTC day; 0 for no cap",
    )
    warm_pool: int = Field(
        default=0,
        ge=0,
        alias="SCALER_WARM_POOL",
        description="So many on-demand instances are stopped instead of terminated",
    )
    cool_off_seconds: float = Field(
        default=180,
        ge=0,
        alias="SCALER_COOL_OFF_SECONDS",
        description="A type in a zone without capacity is not asked for again before",
    )
    breaker_failures: int = Field(
        default=5,
        ge=1,
        alias="SCALER_BREAKER_FAILURES",
        description="Failures in a row that open the circuit breaker",
    )
    breaker_seconds: float = Field(
        default=60,
        gt=0,
        alias="SCALER_BREAKER_SECONDS",
        description="How long it stays open before it probes; doubles with each probe that fails",
    )
    dead_letter_limit: int = Field(
        default=20,
        ge=1,
        alias="SCALER_DEAD_LETTER_LIMIT",
        description="New dead letters (within SCALER_DEAD_LETTER_WINDOW_SECONDS) from which "
        "the fleet no longer grows",
    )
    loss_hold_seconds: float = Field(
        default=300,
        ge=0,
        alias="SCALER_LOSS_HOLD_SECONDS",
        description="No scale-in for so long after SCALER_LOSS_FRACTION of the workers was "
        "lost at once",
    )
    refresh: bool = Field(
        default=True,
        alias="SCALER_REFRESH",
        description="Replace workers whose image or launch template is not the latest",
    )
    refresh_surge: float = Field(
        default=0.2,
        ge=0,
        le=1,
        alias="SCALER_REFRESH_SURGE",
        description="So large a share of the wanted workers is launched ahead of those that "
        "it replaces",
    )
    refresh_min_healthy: float = Field(
        default=0.9,
        ge=0,
        le=1,
        alias="SCALER_REFRESH_MIN_HEALTHY",
        description="So large a share of the wanted workers stays ready meanwhile; without "
        "room to launch ahead, one less",
    )
    pause_until: float = Field(
        default=0,
        ge=0,
        alias="SCALER_PAUSE_UNTIL",
        description="Until this Unix second the fleet is left as it is",
    )
    dry_run: bool = Field(
        default=False,
        alias="SCALER_DRY_RUN",
        description="Decide and report, do nothing",
    )

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError("SCALER_MIN_INSTANCES must not be above SCALER_MAX_INSTANCES")
        if self.breaker_seconds > self.breaker_longest_seconds:
            raise ValueError(
                "SCALER_BREAKER_SECONDS must not be above SCALER_BREAKER_LONGEST_SECONDS"
            )
        if self.backoff_seconds > self.backoff_longest_seconds:
            raise ValueError(
                "SCALER_BACKOFF_SECONDS must not be above SCALER_BACKOFF_LONGEST_SECONDS"
            )
        return self
