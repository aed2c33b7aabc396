"""Sequences of ticks in which everything fails at times, for the invariants' property tests."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from scaler.model import Backlog, FleetConfig, Market, Pool, Rule, ScaleIn
from tests.unit.scaler.fake_ec2 import client_error, timed_out
from tests.unit.scaler.fake_world import NAMES, World

# Sequences are long and cheap; no example needs a deadline.
sequences = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
POOLS = (
    Pool("g4dn.xlarge", "subnet-a"),
    Pool("g5.xlarge", "subnet-a"),
    Pool("g5.xlarge", "subnet-b"),
)
ERRORS = ("RequestLimitExceeded", "InsufficientInstanceCapacity", "UnauthorizedOperation")
OPERATIONS = (
    "describe_launch_template_versions",
    "create_fleet",
    "create_tags",
    "delete_tags",
    "terminate_instances",
    "start_instances",
)


@dataclass(frozen=True)
class Step:
    """What happens between two ticks."""

    wait: float
    backlog: Backlog | None
    blind: bool
    cold_start: bool
    fault: tuple[str, str, bool] | None
    deaths: int
    elsewhere: int
    workers_live: bool
    new_image: bool


BACKLOGS = st.builds(Backlog, st.integers(0, 120), st.integers(0, 40), st.integers(0, 5))
STEP = st.builds(
    Step,
    wait=st.sampled_from([1.0, 5.0, 5.0, 20.0, 70.0, 400.0]),
    backlog=st.none() | BACKLOGS | st.just(Backlog(0, 0)),
    blind=st.sampled_from([False, False, False, True]),
    cold_start=st.booleans(),
    fault=st.none()
    | st.tuples(st.sampled_from(OPERATIONS), st.sampled_from([*ERRORS, "timeout"]), st.booleans()),
    deaths=st.sampled_from([0, 0, 0, 1, 5]),
    elsewhere=st.sampled_from([0, 0, 0, 0, 2]),
    workers_live=st.booleans(),
    new_image=st.sampled_from([False, False, False, False, True]),
)


def quiet(wait: float, *, live: bool, waiting: int = 0) -> Step:
    return Step(wait, Backlog(waiting, 0), False, False, None, 0, 0, live, False)


def lull(waiting: int, confirm: bool, again: int) -> list[Step]:
    """Return load, then an empty queue for longer than the least run time, then load.

    Claimed workers confirm and are ended, or are rescued because they did not.
    """
    return [
        quiet(5, live=False, waiting=waiting),
        quiet(70, live=False),
        quiet(20, live=False),
        quiet(5, live=confirm),
        quiet(5, live=confirm, waiting=again),
        quiet(5, live=False, waiting=again),
    ]


def fall(burst: int) -> list[Step]:
    """Return a little load, then a burst that is over while the workers for it still boot."""
    last = replace(quiet(5, live=False), backlog=Backlog(0, 2))
    return [
        quiet(5, live=False, waiting=3),
        quiet(70, live=False, waiting=3),
        quiet(5, live=False, waiting=burst),
        last,
        last,
    ]


FALLS = st.builds(fall, st.integers(20, 60))
LULLS = st.builds(lull, st.integers(1, 60), st.booleans(), st.integers(1, 60))
STEPS = st.lists(STEP.map(lambda step: [step]) | LULLS | FALLS, min_size=2, max_size=18).map(
    lambda parts: [step for part in parts for step in part]
)
CONFIGS = st.builds(
    lambda least, more, rule, scale_in, window, markets, warm: FleetConfig(
        rule=rule,
        scale_in=scale_in,
        scale_in_window=window,
        min_instances=least,
        max_instances=least + more,
        min_runtime=60,
        boot_deadline=120,
        markets=markets,
        pools=POOLS,
        warm_pool=warm,
    ),
    st.integers(0, 3),
    st.integers(0, 15),
    st.sampled_from(Rule),
    st.sampled_from(ScaleIn),
    st.sampled_from([0.0, 120.0]),
    st.sampled_from([(Market.ON_DEMAND,), (Market.SPOT, Market.ON_DEMAND)]),
    st.integers(0, 2),
)
HABITS = st.fixed_dictionaries(
    {
        "boot": st.sampled_from([0.0, 40.0, 10_000.0]),
        "show": st.sampled_from([0.0, 12.0, 30.0]),
        "end": st.sampled_from([0.0, 30.0]),
        "stopped": st.integers(0, 3),
    }
)
CAPACITY = st.dictionaries(
    st.tuples(
        st.sampled_from(["spot", "on-demand"]),
        st.sampled_from(["g4dn.xlarge", "g5.xlarge"]),
        st.sampled_from(["subnet-a", "subnet-b"]),
    ),
    st.integers(0, 4),
)


def world_of(
    config: FleetConfig, habits: dict[str, float], capacity: dict[Any, int] | None = None
) -> World:
    world = World(config)
    for name in habits.keys() - {"stopped"}:
        setattr(world.ec2, name, habits[name])
    world.ec2.capacity = dict(capacity or {})
    for number in range(int(habits.get("stopped", 0))):
        pool = POOLS[number]
        where = ("on-demand", pool.instance_type, pool.subnet)
        world.ec2.has_stopped(1, NAMES.worker_tags(f"app-tier-instance-{number + 1}"), where)
    return world


def happen(world: World, step: Step) -> None:
    """Let time pass and things go wrong."""
    world.wait(step.wait)
    world.backlog, world.blind = step.backlog, step.blind
    if step.cold_start:
        world.cold_start()
    if step.fault is not None:
        operation, code, after = step.fault
        error = timed_out() if code == "timeout" else client_error(code)
        # EC2 says such a thing only when it did nothing; an answer that is lost may follow work.
        world.ec2.fail(operation, error, after=after and code == "timeout")
    for instance_id in world.running()[: step.deaths]:
        world.ec2.die(instance_id)
    if step.elsewhere:
        world.ec2.launch_elsewhere(step.elsewhere, NAMES.worker_tags("elsewhere"))
    if step.new_image:
        world.ec2.version += 1
    if step.workers_live:
        world.workers_live()
