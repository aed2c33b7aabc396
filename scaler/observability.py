"""One record a tick: as a log line with every input, clamp and result, and as metrics."""

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from faces.contracts.names import METRICS_DIMENSION, METRICS_NAMESPACE
from faces.contracts.version import CODE_VERSION
from scaler.log import logger, stack
from scaler.state import BreakerState
from scaler.tick import TickRecord

metrics = Metrics(namespace=METRICS_NAMESPACE)
metrics.set_default_dimensions(**{METRICS_DIMENSION: stack})

_BREAKER_NUMBERS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_UNITS = {"OldestMessageSeconds": MetricUnit.Seconds, "ScalingSuccessRate": MetricUnit.Percent}


def numbers(record: TickRecord) -> dict[str, float]:
    """Return the metrics of a tick by name; what could not be read is not there.

    `BreakerState` is 0 closed, 1 half-open, 2 open. Instance-hours, cost, success rate and
    photos per instance-hour are of the UTC day so far.
    """
    decision, outcome = record.decision, record.outcome
    usage = record.state.usage
    found: dict[str, float] = {
        "Launches": len(outcome.launched) + len(outcome.started),
        "Terminations": len(outcome.terminated) + len(outcome.stopped),
        "CapacityErrors": len(outcome.capacity_errors),
        "ScalingFailures": len(outcome.failures),
        "BreakerState": _BREAKER_NUMBERS[record.state.breaker.state],
        "ScalingSuccessRate": 100 * usage.success_rate,
        "InstanceHours": usage.instance_hours,
        "InstanceCost": usage.cost,
        "PhotosPerInstanceHour": usage.photos_per_instance_hour,
    }
    backlog, fleet = record.observation.backlog, record.observation.fleet
    if backlog is not None:
        found["Backlog"] = backlog.total
        found["OldestMessageSeconds"] = decision.oldest_age or 0.0
    if decision.desired is not None:
        found["DesiredInstances"] = decision.desired
    if fleet is not None:
        found["RunningInstances"] = len(fleet.ready)
        found["BootingInstances"] = len(fleet.booting) + decision.unseen
        found["DrainingInstances"] = len(fleet.draining) + len(fleet.suspect)
        found["OutdatedInstances"] = fleet.outdated
    return found


def report(record: TickRecord) -> None:
    """Log a tick and send its metrics."""
    decision, outcome = record.decision, record.outcome
    backlog, fleet = record.observation.backlog, record.observation.fleet
    found = numbers(record)
    logger.info(
        "tick",
        visible=None if backlog is None else backlog.visible,
        in_flight=None if backlog is None else backlog.in_flight,
        dead_letters=None if backlog is None else backlog.dead,
        oldest_seconds=decision.oldest_age,
        ready=None if fleet is None else [each.instance_id for each in fleet.ready],
        booting=None if fleet is None else [each.instance_id for each in fleet.booting],
        draining=None if fleet is None else [each.instance_id for each in fleet.draining],
        suspect=None if fleet is None else [each.instance_id for each in fleet.suspect],
        stopped=None if fleet is None else [each.instance_id for each in fleet.stopped],
        leaving=None if fleet is None else fleet.leaving,
        outdated=None if fleet is None else fleet.outdated,
        wanted=decision.wanted,
        desired=decision.desired,
        capacity=decision.capacity,
        unseen=decision.unseen,
        reasons=decision.reasons,
        launch=decision.launches,
        token=None if decision.launch is None else decision.launch.token,
        market=None if decision.launch is None else decision.launch.market,
        pools=None if decision.launch is None else decision.launch.pools,
        start=decision.start,
        rescue=decision.rescue,
        drain=decision.drain,
        suspected=decision.suspect,
        cleared=decision.cleared,
        keep=decision.keep,
        terminate=decision.terminate,
        stop=decision.stop,
        launched=outcome.launched,
        started=outcome.started,
        launch_unknown=outcome.launch_unknown,
        claimed=outcome.claimed,
        terminated=outcome.terminated,
        stopped_now=outcome.stopped,
        capacity_errors=outcome.capacity_errors,
        failures=outcome.failures,
        breaker=record.state.breaker.state,
        boot_seconds=record.state.boot_seconds,
        throughput=record.state.throughput,
        problem=record.problem,
    )
    for name, value in found.items():
        metrics.add_metric(name, _UNITS.get(name, MetricUnit.Count), value)
    metrics.add_metadata("code_version", CODE_VERSION)
    metrics.flush_metrics()
