"""The limits and times of the decisions; each is a setting (`faces.contracts`)."""

from dataclasses import dataclass
from enum import StrEnum

from scaler.state import TEMPLATE_POOL, Pool


class Rule(StrEnum):
    """How the wanted number of workers is worked out; see `scaler.rules`, `scaler.flow`."""

    GIVEN = "given"
    LATENCY = "latency"
    FLOW = "flow"


class ScaleIn(StrEnum):
    """When workers are given up: with the queue empty, or whenever there are too many."""

    EMPTY = "empty"
    SURPLUS = "surplus"


class Market(StrEnum):
    """How an instance is bought."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """What the rule `flow` reckons with; `scaler.flow` says how.

    Attributes
    ----------
    load_seconds : over which the load is averaged.
    launch_above : workers by which the need may exceed the fleet before it grows.
    idle_load : so little, without a message left, keeps no worker.
    queue_seconds : work that may wait for each worker, and the time for what is above it.
    tail_seconds : within which what waits at the end of a burst, or in a surge, is done.
    surge_seconds : over which a surge is looked for.
    surge_deviations : by how many standard deviations of chance arrivals it must exceed
        the load.
    """

    load_seconds: float = 120
    launch_above: float = 0.8
    idle_load: float = 0.5
    queue_seconds: float = 20
    tail_seconds: float = 12
    surge_seconds: float = 15
    surge_deviations: float = 4


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """Limits and times (seconds) of the decisions; explained in docs/scaling.md.

    Attributes
    ----------
    latency_aim : the share of the latency target that is aimed at.
    loss_fraction : of the workers; losing more at once is a sudden loss.
    refresh : replace workers of an older image or launch template.
    refresh_surge : so large a share of the wanted workers is launched ahead of that.
    refresh_min_healthy : so large a share of the wanted workers stays ready.
    pools : (type, zone) pairs in order of preference; `TEMPLATE_POOL` stands for what
        the launch template says.
    markets : in order of preference.
    """

    rule: Rule = Rule.GIVEN
    scale_in: ScaleIn = ScaleIn.EMPTY
    min_instances: int = 0
    max_instances: int = 15
    messages_per_instance: int = 5
    launch_batch: int = 5
    min_runtime: float = 300
    quiet_time: float = 15
    scale_in_window: float = 120
    scale_out_cooldown: float = 0
    scale_in_cooldown: float = 0
    latency_target: float = 120
    latency_aim: float = 0.85
    initial_boot_seconds: float = 90
    initial_throughput: float = 0.5
    flow: FlowConfig = FlowConfig()
    spike_floor: int = 50
    spike_factor: float = 4
    stale_seconds: float = 30
    unseen_seconds: float = 60
    boot_deadline: float = 600
    orphan_recheck: float = 30
    drain_seconds: float = 300
    keep_seconds: float = 600
    loss_fraction: float = 0.3
    loss_hold: float = 300
    dead_letter_limit: int = 20
    dead_letter_window: float = 300
    breaker_failures: int = 5
    breaker_seconds: float = 60
    breaker_longest: float = 900
    backoff_seconds: float = 5
    backoff_longest: float = 120
    cool_off_seconds: float = 180
    budget_hours: float | None = None
    warm_pool: int = 0
    refresh: bool = True
    refresh_surge: float = 0.2
    refresh_min_healthy: float = 0.9
    pools: tuple[Pool, ...] = (TEMPLATE_POOL,)
    markets: tuple[Market, ...] = (Market.ON_DEMAND,)
    pause_until: float = 0
    dry_run: bool = False
