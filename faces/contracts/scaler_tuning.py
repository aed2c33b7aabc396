"""The scaler's times and thresholds that seldom need a change; an overlay can change them."""

from pydantic import Field

from faces.contracts.settings import StackSettings


class ScalerTuning(StackSettings):
    """What the decisions assume about photos, boots, chance and failures."""

    initial_boot_seconds: float = Field(
        default=90,
        gt=0,
        le=3600,
        alias="SCALER_INITIAL_BOOT_SECONDS",
        description="Boot time that is assumed until one was measured",
    )
    initial_throughput: float = Field(
        default=0.5,
        gt=0,
        le=1000,
        alias="SCALER_INITIAL_THROUGHPUT",
        description="Photos a second of a busy worker that are assumed until they were measured",
    )
    latency_aim: float = Field(
        default=0.85,
        gt=0,
        le=1,
        alias="SCALER_LATENCY_AIM",
        description="Share of the latency target that is aimed at, since counts are approximate",
    )
    flow_load_seconds: float = Field(
        default=120,
        ge=10,
        le=3600,
        alias="SCALER_FLOW_LOAD_SECONDS",
        description="Rule `flow`: over which the load is averaged",
    )
    flow_launch_above: float = Field(
        default=0.8,
        ge=0,
        le=100,
        alias="SCALER_FLOW_LAUNCH_ABOVE",
        description="Rule `flow`: workers that may be missing before one is launched",
    )
    flow_idle_load: float = Field(
        default=0.5,
        ge=0,
        le=100,
        alias="SCALER_FLOW_IDLE_LOAD",
        description="Rule `flow`: load that, without a message left, keeps no worker",
    )
    flow_queue_seconds: float = Field(
        default=20,
        gt=0,
        le=3600,
        alias="SCALER_FLOW_QUEUE_SECONDS",
        description="Rule `flow`: work that may wait for each worker",
    )
    flow_tail_seconds: float = Field(
        default=12,
        gt=0,
        le=3600,
        alias="SCALER_FLOW_TAIL_SECONDS",
        description="Rule `flow`: in which what waits in a surge, or at the end of a burst, "
        "is done",
    )
    flow_surge_seconds: float = Field(
        default=15,
        ge=5,
        le=600,
        alias="SCALER_FLOW_SURGE_SECONDS",
        description="Rule `flow`: over which a surge is looked for",
    )
    flow_surge_deviations: float = Field(
        default=4,
        ge=1,
        le=100,
        alias="SCALER_FLOW_SURGE_DEVIATIONS",
        description="Rule `flow`: standard deviations of chance arrivals that a surge exceeds",
    )
    spike_floor: int = Field(
        default=50,
        ge=0,
        alias="SCALER_SPIKE_FLOOR",
        description="A backlog up to this is believed at once",
    )
    spike_factor: float = Field(
        default=4,
        ge=1,
        le=1000,
        alias="SCALER_SPIKE_FACTOR",
        description="A backlog up to so many times the last one is believed at once, a larger "
        "one when it is seen twice",
    )
    stale_seconds: float = Field(
        default=30,
        ge=5,
        le=60,
        alias="SCALER_STALE_SECONDS",
        description="What was read longer ago holds the fleet as it is",
    )
    unseen_seconds: float = Field(
        default=60,
        ge=10,
        le=600,
        alias="SCALER_UNSEEN_SECONDS",
        description="A launch that EC2 does not show counts as capacity for so long",
    )
    orphan_recheck_seconds: float = Field(
        default=30,
        ge=5,
        le=3600,
        alias="SCALER_ORPHAN_RECHECK_SECONDS",
        description="A suspected instance is looked at again after this before it is ended",
    )
    loss_fraction: float = Field(
        default=0.3,
        gt=0,
        le=1,
        alias="SCALER_LOSS_FRACTION",
        description="Share of the workers whose loss at once is a sudden one",
    )
    dead_letter_window_seconds: float = Field(
        default=300,
        ge=10,
        le=86400,
        alias="SCALER_DEAD_LETTER_WINDOW_SECONDS",
        description="Over which new dead letters are counted",
    )
    breaker_longest_seconds: float = Field(
        default=900,
        gt=0,
        le=86400,
        alias="SCALER_BREAKER_LONGEST_SECONDS",
        description="The longest that the circuit breaker stays open before it probes",
    )
    backoff_seconds: float = Field(
        default=5,
        gt=0,
        le=3600,
        alias="SCALER_BACKOFF_SECONDS",
        description="First wait after a launch that may be tried again; doubles each time",
    )
    backoff_longest_seconds: float = Field(
        default=120,
        gt=0,
        le=3600,
        alias="SCALER_BACKOFF_LONGEST_SECONDS",
        description="The longest wait after launches that may be tried again",
    )
