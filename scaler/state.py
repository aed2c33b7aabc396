"""What a tick leaves for the next one: explicit, immutable, and the same after JSON.

Whatever must survive a cold start of the Lambda stands here; whatever must survive the
loss of this, too, stands as tags on the instances (drains, holds, orphans).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple, Self

VERSION = 1


class Pool(NamedTuple):
    """Where capacity can come from: an instance type in a zone's subnet.

    Attributes
    ----------
    instance_type : empty for the launch template's.
    subnet : id of the subnet, which fixes the zone; empty for the template's.
    """

    instance_type: str
    subnet: str


TEMPLATE_POOL = Pool("", "")


class BreakerState(StrEnum):
    """Closed lets launches through, open none, half-open one to try."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """The circuit breaker before launches.

    Attributes
    ----------
    failures : in a row.
    until : when it half-opens by itself.
    wait : how long it stayed open last; doubles each time a probe fails.
    probe_at : when the probe of the half-open breaker was launched; 0 before.
    """

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    until: float = 0
    wait: float = 0
    probe_at: float = 0


@dataclass(frozen=True, slots=True)
class LaunchIntent:
    """One launch, written down before it is asked for.

    A token must never be used with other arguments, so all of them stand here.

    Attributes
    ----------
    token : the client token; EC2 answers a repetition with the first answer.
    pools : `(instance_type, subnet)` pairs.
    """

    token: str
    count: int
    market: str
    pools: tuple[Pool, ...]
    at: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used and reached since the start of a UTC day.

    Attributes
    ----------
    day : days since 1970.
    cost : in dollars.
    requested, launched : instances asked for and got.
    booted, boot_failures : of these, came to work or did not.
    photos : messages finished, measured or derived.
    """

    day: int = 0
    instance_seconds: float = 0
    cost: float = 0
    requested: int = 0
    launched: int = 0
    booted: int = 0
    boot_failures: int = 0
    photos: float = 0

    @property
    def success_rate(self) -> float:
        """Share of the instances asked for that neither EC2 nor their boot refused."""
        return (self.launched - self.boot_failures) / self.requested if self.requested else 1.0

    @property
    def instance_hours(self) -> float:
        return self.instance_seconds / 3600

    @property
    def photos_per_instance_hour(self) -> float:
        return self.photos / self.instance_hours if self.instance_seconds else 0.0


@dataclass(frozen=True, slots=True)
class ControllerState:
    """Everything that a tick knows from earlier ones.

    Attributes
    ----------
    sequence : counts launches; part of their tokens.
    ticked_at : time of the last tick that could read everything; 0 before the first.
    quiet_since : since when every reading showed an empty queue; 0 when it is not.
    waiting_since : since when messages wait without a break; 0 when none waits.
    samples : `(time, backlog)` pairs, oldest first, thinned.
    level : the last backlog; what is far above it must be seen twice.
    wants : `(time, desired)` pairs of the scale-in window.
    launched : launches that EC2 does not show yet, by instance id, and when.
    booting : instances that booted at the last tick, and since when.
    boot_seconds, throughput : measured; 0 before the first measurement. Throughput is
        messages a second of one busy worker.
    load : workers that the flow of messages keeps busy, a running mean.
    busy : `(time, busy workers)` pairs of the last two minutes.
    busy_seconds, done : seconds of busy workers, and messages done in them; both fade.
    cool_offs : until when `market/type/subnet` is not asked for.
    backoff : in seconds, after retryable errors in a row; 0 after a success.
    capacity : at the last tick, less what was given up on purpose.
    lost_at : when capacity was lost suddenly.
    dead : `(time, new dead letters)`; `dead_level` is the last reading.
    intent : a launch whose end is not known.
    """

    sequence: int = 0
    ticked_at: float = 0
    quiet_since: float = 0
    waiting_since: float = 0
    samples: tuple[tuple[float, int], ...] = ()
    level: int = 0
    wants: tuple[tuple[float, int], ...] = ()
    launched: Mapping[str, float] = field(default_factory=dict)
    booting: Mapping[str, float] = field(default_factory=dict)
    boot_seconds: float = 0
    throughput: float = 0
    load: float = 0
    busy: tuple[tuple[float, int], ...] = ()
    busy_seconds: float = 0
    done: float = 0
    cool_offs: Mapping[str, float] = field(default_factory=dict)
    backoff: float = 0
    backoff_until: float = 0
    breaker: Breaker = Breaker()
    capacity: int = 0
    lost_at: float = 0
    scaled_out_at: float = 0
    scaled_in_at: float = 0
    dead: tuple[tuple[float, int], ...] = ()
    dead_level: int | None = None
    usage: Usage = Usage()
    intent: LaunchIntent | None = None

    def to_json(self) -> str:
        """Return the state as JSON."""
        return json.dumps({"version": VERSION, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the state that `to_json` wrote.

        Raises
        ------
        ValueError
            When the text is no such state.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if data.pop("version") != VERSION:
                raise ValueError("the state is of another version")
            breaker = data.pop("breaker")
            intent = data.pop("intent")
            usage = Usage(**data.pop("usage"))
            pairs: dict[str, Any] = {
                name: tuple((float(at), int(value)) for at, value in data.pop(name))
                for name in ("samples", "wants", "dead", "busy")
            }
            return cls(
                **data,
                **pairs,
                breaker=Breaker(**{**breaker, "state": BreakerState(breaker["state"])}),
                usage=usage,
                intent=None
                if intent is None
                else LaunchIntent(**{**intent, "pools": tuple(Pool(*p) for p in intent["pools"])}),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no state of a controller: {error}") from None


def cool_off_key(market: str, pool: Pool) -> str:
    """Return the key of `ControllerState.cool_offs`."""
    return f"{market}/{pool.instance_type}/{pool.subnet}"


def with_usage(state: ControllerState, **more: float) -> ControllerState:
    """Return the state with these amounts added to its usage."""
    usage = state.usage
    added: dict[str, Any] = {name: getattr(usage, name) + value for name, value in more.items()}
    return replace(state, usage=replace(usage, **added))
