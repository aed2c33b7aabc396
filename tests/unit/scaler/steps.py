"""What the tests of single decisions share: instances of an age, and one step."""

from typing import Any

from scaler.decide import decide
from scaler.model import Backlog, Decision, Fleet, FleetConfig, Instance, Observation
from scaler.state import ControllerState

NOW = 1_767_322_800.0
PLAIN = FleetConfig()


def instances(number: int, age: float = 3600, prefix: str = "i", **more: Any) -> list[Instance]:
    return [Instance(f"{prefix}-{n:02}", NOW - age - n, **more) for n in range(1, number + 1)]


def step(
    visible: int,
    in_flight: int = 0,
    fleet: Fleet | None = None,
    config: FleetConfig = PLAIN,
    state: ControllerState | None = None,
    **more: Any,
) -> Decision:
    # What is far above the last reading must be seen twice; here it was.
    known = state or ControllerState(level=visible + in_flight)
    seen = Observation(Backlog(visible, in_flight), fleet or Fleet(), known, NOW, **more)
    return decide(seen, config, NOW)
