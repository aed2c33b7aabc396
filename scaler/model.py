"""What the controller sees and what it decides: plain immutable values, no AWS.

Times are Unix seconds (float), so that a state is the same in JSON, in a simulation and
on a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from scaler.limits import FleetConfig, FlowConfig, Market, Rule, ScaleIn
from scaler.state import TEMPLATE_POOL, ControllerState, LaunchIntent, Pool

__all__ = [
    "Backlog",
    "Decision",
    "Fleet",
    "FleetConfig",
    "FlowConfig",
    "Instance",
    "Market",
    "Observation",
    "Pool",
    "Reason",
    "Rule",
    "ScaleIn",
]


class Reason(StrEnum):
    """Why a decision is what it is; each clamp has its own."""

    BACKLOG_UNREADABLE = "backlog_unreadable"
    FLEET_UNREADABLE = "fleet_unreadable"
    STALE_READING = "stale_reading"
    PAUSED = "paused"
    DRY_RUN = "dry_run"
    RAISED_TO_MINIMUM = "raised_to_minimum"
    HELD_TO_MAXIMUM = "held_to_maximum"
    HELD_TO_LAUNCH_BATCH = "held_to_launch_batch"
    SPIKE_UNCONFIRMED = "spike_unconfirmed"
    TARGET_BELOW_BOOT_TIME = "target_below_boot_time"
    DEAD_LETTERS_GROW = "dead_letters_grow"
    BUDGET_SPENT = "budget_spent"
    BUDGET_LIMITS_LAUNCH = "budget_limits_launch"
    BREAKER_OPEN = "breaker_open"
    BREAKER_PROBES = "breaker_probes"
    BACKING_OFF = "backing_off"
    NO_POOL_LEFT = "no_pool_left"
    FINISHING_EARLIER_LAUNCH = "finishing_earlier_launch"
    SCALE_OUT_COOLDOWN = "scale_out_cooldown"
    SCALE_IN_COOLDOWN = "scale_in_cooldown"
    STILL_WORKING = "still_working"
    NOT_YET_QUIET = "not_yet_quiet"
    SCALE_IN_WINDOW = "scale_in_window"
    LAST_WORKER_KEPT = "last_worker_kept"
    YOUNGER_THAN_MIN_RUNTIME = "younger_than_min_runtime"
    HELD_BY_TAG = "held_by_tag"
    CAPACITY_WAS_LOST = "capacity_was_lost"
    BOOT_DEADLINE_PASSED = "boot_deadline_passed"
    DRAIN_UNCONFIRMED = "drain_unconfirmed"
    RESCUED = "rescued"
    REFRESHING = "refreshing"


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages of the req-queue.

    Attributes
    ----------
    visible : waiting.
    in_flight : received but not deleted.
    dead : in the dead-letter queue.
    """

    visible: int
    in_flight: int
    dead: int = 0

    @property
    def total(self) -> int:
        return self.visible + self.in_flight


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the fleet.

    Attributes
    ----------
    launched_at : of its last launch or start.
    keep_until, hold_until, drain_until : when these marks expire; 0 without the mark.
    drained : the worker confirmed that it holds no message and receives none.
    orphan_at : since when it is suspected to be dead; 0 when it is not.
    ready : the worker receives, or did; only read of suspects.
    outdated : launched from an older image or launch template than a new one would be.
    """

    instance_id: str
    launched_at: float
    name: str = ""
    pool: Pool = TEMPLATE_POOL
    market: Market = Market.ON_DEMAND
    keep_until: float = 0
    hold_until: float = 0
    drain_until: float = 0
    drained: bool = False
    orphan_at: float = 0
    ready: bool = False
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """The instances of a stack, apart by what they are good for.

    A reader sorts each instance into exactly one of them, in this order: `stopped` and
    `leaving` by the state of EC2, `suspect` by `orphan_at`, `draining` by `drain_until`
    (also when expired) or `drained`, `booting` until the worker is ready, else `ready`.
    `decide` walks through `ready` only when it scales in or keeps a minimum, so a caller
    that keeps these lists up to date itself pays for what changes, not for the size of
    the fleet.

    Attributes
    ----------
    leaving : how many are shutting down or stopping: no capacity, but they exist.
    hourly_price : of all that are paid for now, in dollars.
    outdated : how many of the ready, booting and stopped ones are outdated.
    """

    ready: Sequence[Instance] = ()
    booting: Sequence[Instance] = ()
    draining: Sequence[Instance] = ()
    suspect: Sequence[Instance] = ()
    stopped: Sequence[Instance] = ()
    leaving: int = 0
    hourly_price: float = 0.0
    outdated: int = 0

    @property
    def paid(self) -> int:
        """How many instances cost money now."""
        return len(self.ready) + len(self.booting) + len(self.draining) + len(self.suspect)

    @property
    def existing(self) -> int:
        """How many count towards the maximum."""
        return self.paid + self.leaving


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen at one moment.

    Attributes
    ----------
    backlog, fleet : None when unreadable; that is not the same as nothing.
    state : what earlier ticks left.
    read_at : when both were read.
    oldest_age : age of the oldest waiting message in seconds, where it is measured.
    completed : messages finished since the last tick, where that is measured.
    booted : boot times (s) of the instances that became ready since the last tick.
    """

    backlog: Backlog | None
    fleet: Fleet | None
    state: ControllerState
    read_at: float
    oldest_age: float | None = None
    completed: float | None = None
    booted: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done now, and why nothing more.

    Attributes
    ----------
    desired : workers wanted within the limits; None when it could not be worked out.
    wanted : what the rule asked for before the limits.
    launch : a new launch, or one whose end is unknown and that is asked for again with
        the same token and arguments; None for no launch.
    start : stopped instances to start.
    rescue : draining instances that go on working.
    drain : instances that are claimed: they finish what they hold and confirm.
    suspect : instances marked as orphans: looked at again before they are ended. A drain
        claim that they are under is renewed.
    cleared : suspects that are alive after all; their mark goes.
    terminate, stop : instances to end, or to keep as warm ones: only confirmed drains,
        suspects that still looked dead, and outdated ones that are stopped.
    keep : instances told not to end themselves for being idle.
    capacity : ready and booting workers, launches that EC2 does not show yet included.
    unseen : how many launches EC2 does not show yet.
    oldest_age : measured or, failing that, at most (s); None with nothing waiting.
    state : what the next tick is to see, before anything was carried out.
    """

    desired: int | None
    state: ControllerState
    wanted: int | None = None
    launch: LaunchIntent | None = None
    start: tuple[str, ...] = ()
    rescue: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    suspect: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()
    terminate: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = field(default=())
    capacity: int = 0
    unseen: int = 0
    oldest_age: float | None = None

    @property
    def launches(self) -> int:
        """How many instances are to be launched."""
        return 0 if self.launch is None else self.launch.count

    @property
    def acts(self) -> bool:
        """Whether anything is to be done."""
        return bool(
            self.launch
            or self.start
            or self.rescue
            or self.drain
            or self.suspect
            or self.cleared
            or self.terminate
            or self.stop
            or self.keep
        )
