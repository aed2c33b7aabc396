"""A stack in memory around the real controller: queue counts, EC2, workers, a store."""

import json
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, cast

from faces.contracts.names import TAG_DRAIN, TAG_DRAINED, TAG_KEEP, StackNames
from scaler.executor import Executor
from scaler.model import Backlog, Fleet, FleetConfig
from scaler.observe import Prices, QueueMetrics, read_fleet
from scaler.state import ControllerState
from scaler.template import TemplateWatch
from scaler.tick import Controller, TickRecord
from tests.unit.scaler.fake_ec2 import FakeEc2, client_error

NAMES = StackNames("faces-test")
START = 1_767_322_800.0


@dataclass
class MemoryStore:
    """Keeps the state as JSON, so that only what survives that is seen again."""

    text: str | None = None
    saves: int = 0

    def open(self, now: float) -> ControllerState:
        return ControllerState() if self.text is None else ControllerState.from_json(self.text)

    def save(self, state: ControllerState, now: float) -> None:
        self.text = state.to_json()
        self.saves += 1

    def due(self, now: float) -> bool:
        return True

    def close(self, state: ControllerState, now: float) -> None:
        self.save(state, now)


@dataclass
class World:
    """Everything around one controller; time passes only by `wait`.

    Attributes
    ----------
    backlog : what SQS answers, None for no answer.
    blind : EC2 does not answer descriptions.
    slow : seconds that a reading takes.
    ahead : seconds by which the controller's clock is wrong.
    """

    config: FleetConfig
    backlog: Backlog | None = field(default_factory=lambda: Backlog(0, 0))
    blind: bool = False
    slow: float = 0.0
    ahead: float = 0.0
    now: float = START
    store: MemoryStore = field(default_factory=MemoryStore)
    ready_tag: bool = False
    completed_per_second: float | None = None
    idle_seconds: float = 300.0
    ec2: FakeEc2 = field(init=False)
    template: TemplateWatch = field(init=False)
    controller: Controller = field(init=False)
    records: list[TickRecord] = field(default_factory=list)
    idle_since: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ec2 = FakeEc2(clock=lambda: self.now)
        self.cold_start()

    def cold_start(self) -> None:
        """Replace the process: only the store and EC2 remember."""
        self.template = TemplateWatch(cast(Any, self.ec2), NAMES, self.clock)
        self.controller = Controller(
            store=self.store,
            reads=_Reads(self),
            executor=Executor(cast(Any, self.ec2), NAMES),
            config=lambda: (self.config, None),
            clock=self.clock,
        )

    def clock(self) -> float:
        """Return the controller's time."""
        return self.now + self.ahead

    # -- what happens

    def tick(self) -> TickRecord:
        record = self.controller.tick()
        assert record is not None
        self.records.append(record)
        return record

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.ec2.settle()

    def running(self) -> list[str]:
        return [each.instance_id for each in self.ec2.existing() if each.state == "running"]

    def existing(self) -> int:
        return len(self.ec2.existing())

    def workers_live(self) -> None:
        """Let workers confirm drains, and end themselves when idle and not to be kept."""
        for instance_id in self.running():
            tags = self.ec2.machines[instance_id].tags
            if _valid(tags, TAG_DRAIN, self.now):
                tags.setdefault(TAG_DRAINED, f"{self.now:.0f}")
                continue
            busy = self.backlog is not None and self.backlog.total > 0
            since = self.idle_since.setdefault(instance_id, self.now)
            if busy:
                self.idle_since[instance_id] = self.now
            elif self.now - since >= self.idle_seconds and not _valid(tags, TAG_KEEP, self.now):
                self.ec2.die(instance_id, by="worker")


@dataclass
class _Reads:
    """What the controller reads of a world."""

    world: World

    def backlog(self) -> Backlog | None:
        return self.world.backlog

    def fleet(self) -> Fleet | None:
        world = self.world
        world.now += world.slow
        if world.blind:
            return None
        prices = Prices({"": 0.5}, 0.4)
        template = world.template.read()
        return read_fleet(cast(Any, world.ec2), NAMES, prices, template, ready_tag=world.ready_tag)

    def queue_metrics(self, backlog: Backlog | None) -> QueueMetrics:
        return QueueMetrics(None, self.world.completed_per_second)


def _valid(tags: dict[str, str], name: str, now: float) -> bool:
    return float(tags.get(name, "0")) > now


@dataclass
class FakeS3:
    """One bucket with conditional writes, as S3 has them."""

    objects: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    faults: list[Exception | None] = field(default_factory=list)
    lost_answers: list[Exception | None] = field(default_factory=list)
    writes: int = 0

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if self.faults and (error := self.faults.pop(0)):
            raise error
        if Key not in self.objects:
            raise client_error("NoSuchKey", "GetObject", 404)
        etag, body = self.objects[Key]
        return {"ETag": etag, "Body": BytesIO(body), "ContentLength": len(body)}

    def put_object(self, *, Key: str, Body: bytes, **asked: Any) -> dict[str, Any]:  # noqa: N803
        if self.faults and (error := self.faults.pop(0)):
            raise error
        present = self.objects.get(Key)
        wanted = asked.get("IfMatch")
        if (asked.get("IfNoneMatch") == "*" and present) or (
            wanted is not None and (present is None or present[0] != wanted)
        ):
            raise client_error("PreconditionFailed", "PutObject", 412)
        self.writes += 1
        etag = f'"{self.writes}"'
        self.objects[Key] = (etag, Body)
        if self.lost_answers and (error := self.lost_answers.pop(0)):
            raise error
        return {"ETag": etag}

    def document(self, key: str) -> Any:
        return json.loads(self.objects[key][1])
