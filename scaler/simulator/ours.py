"""The real `decide()` in a simulated world: what the executor does, done to the world."""

import math
from collections.abc import Callable
from dataclasses import replace

from scaler.decide import decide
from scaler.model import Backlog, Fleet, FleetConfig, Instance, Observation, Rule, ScaleIn
from scaler.outcome import Outcome, absorb
from scaler.simulator.traces import Limits, Trace
from scaler.simulator.world import WORKER_IDLE, Worker, World
from scaler.state import ControllerState, Pool

# `decide` reckons from times that are not 0, as Unix seconds are.
_EPOCH = 1_000_000_000.0
_METRIC_PERIOD = 60.0


def pools(trace: Trace) -> tuple[Pool, ...]:
    """Return the names of a trace's pools."""
    return tuple(Pool("", f"subnet-{number}") for number in range(trace.ec2.pools))


def given_config(trace: Trace) -> FleetConfig:
    """Return the product's defaults within a trace's limits."""
    limits: Limits = trace.limits
    return FleetConfig(
        max_instances=limits.max_instances,
        messages_per_instance=limits.messages_per_instance,
        launch_batch=limits.launch_batch,
        pools=pools(trace),
    )


def latency_config(trace: Trace) -> FleetConfig:
    """Return the rule `latency` that gives up what is too much."""
    return replace(given_config(trace), rule=Rule.LATENCY, scale_in=ScaleIn.SURPLUS)


def flow_config(trace: Trace) -> FleetConfig:
    """Return the profile that docs/scaling-simulation.md explains."""
    return replace(
        given_config(trace),
        rule=Rule.FLOW,
        scale_in=ScaleIn.SURPLUS,
        min_runtime=285,
        quiet_time=5,
        scale_in_window=60,
        boot_deadline=150,
        initial_boot_seconds=80,
        initial_throughput=0.25,
    )


CONFIGS: dict[str, Callable[[Trace], FleetConfig]] = {
    "given": given_config,
    "latency": latency_config,
    "flow": flow_config,
}


class Ours:
    """Carries `decide()` out on a world.

    Age and throughput come as CloudWatch gives them: once a minute, and a minute late.
    """

    period = 5.0
    idle = WORKER_IDLE

    def __init__(self, trace: Trace, config: FleetConfig) -> None:
        self._config = config
        self._pools = {pool: number for number, pool in enumerate(pools(trace))}
        self._state = ControllerState()
        self._instances: dict[int, Instance] = {}
        self._workers: dict[str, Worker] = {}
        self._ready: set[int] = set()
        self._price = trace.ec2.hourly_price
        self._minute = -math.inf
        self._finished = 0
        self._ages: tuple[float | None, float | None] = (None, None)
        self._rates: tuple[float | None, float | None] = (None, None)

    def tick(self, world: World) -> None:
        now = _EPOCH + world.now
        fleet, booted = self._fleet(world)
        backlog = Backlog(world.visible, world.in_flight)
        age, rate = self._metrics(world, backlog)
        state = self._state
        observation = Observation(
            backlog=backlog,
            fleet=fleet,
            state=state,
            read_at=now,
            oldest_age=age,
            completed=None if rate is None or not state.ticked_at else rate * self.period,
            booted=booted,
        )
        decision = decide(observation, self._config, now)
        self._state = decision.state
        if not decision.acts:
            return
        outcome = Outcome()
        for number in (*decision.terminate, *decision.stop):
            worker = self._workers[number]
            if math.isinf(worker.ended_at):
                world.end(worker)
        for number in decision.rescue:
            self._mark(number, drain_until=0.0, drained=False)
            world.release(self._workers[number])
        for number in decision.drain:
            self._mark(number, drain_until=now + self._config.drain_seconds)
            world.claim(self._workers[number])
        for number in decision.suspect:
            self._mark(number, orphan_at=now)
        for number in decision.cleared:
            self._mark(number, orphan_at=0.0)
        launch = decision.launch
        if launch is not None:
            asked = tuple(self._pools[pool] for pool in launch.pools)
            answer = world.launch(launch.count, asked)
            names = list(self._pools)
            outcome = Outcome(
                launched=tuple(self._name(worker, now) for worker in answer.workers),
                capacity_errors=tuple((launch.market, names[pool]) for pool in answer.dry_pools),
                retryable=1 if answer.throttled else 0,
            )
        self._state = absorb(decision, outcome, self._config, now)

    def _name(self, worker: Worker, now: float) -> str:
        name = f"i-{worker.number:06}"
        self._instances[worker.number] = Instance(instance_id=name, launched_at=now)
        self._workers[name] = worker
        return name

    def _mark(self, name: str, **marks: float) -> None:
        number = self._workers[name].number
        self._instances[number] = replace(self._instances[number], **marks)  # type: ignore[arg-type]

    def _fleet(self, world: World) -> tuple[Fleet, list[float]]:
        ready: list[Instance] = []
        booting: list[Instance] = []
        draining: list[Instance] = []
        suspect: list[Instance] = []
        booted: list[float] = []
        instances, now, known = self._instances, world.now, self._ready
        for worker in world.workers:
            instance = instances[worker.number]
            is_ready = worker.ready_at <= now
            if instance.orphan_at:
                suspect.append(replace(instance, ready=is_ready))
            elif instance.drain_until:
                idle = worker.holding < 0 or worker.free_at <= now
                draining.append(replace(instance, drained=idle))
            elif is_ready:
                ready.append(instance)
                if worker.number not in known:
                    known.add(worker.number)
                    booted.append(worker.ready_at - worker.launched_at)
            else:
                booting.append(instance)
        price = self._price * len(world.workers)
        return Fleet(ready, booting, draining, suspect, hourly_price=price), booted

    def _metrics(self, world: World, backlog: Backlog) -> tuple[float | None, float | None]:
        if world.now - self._minute >= _METRIC_PERIOD:
            self._minute = world.now
            finished = world.arrived - backlog.total
            rate = (finished - self._finished) / _METRIC_PERIOD
            self._finished = finished
            self._ages = (self._ages[1], world.oldest_age)
            self._rates = (self._rates[1], rate)
        age = self._ages[0]
        if not backlog.total or age is None:
            return None, self._rates[0]
        return age + world.now - self._minute, self._rates[0]
