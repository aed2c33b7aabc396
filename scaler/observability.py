"""The record of each tick as a log line and as metrics, through Powertools."""

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from faces.contracts.names import METRICS_DIMENSION, METRICS_NAMESPACE
from scaler.log import logger, stack
from scaler.thin import WorkerState
from scaler.tick import TickRecord

metrics = Metrics(namespace=METRICS_NAMESPACE)
metrics.set_default_dimensions(**{METRICS_DIMENSION: stack})


def report(record: TickRecord) -> None:
    """Log a tick and send its metrics; what could not be read is not sent as zero."""
    backlog, workers = record.observation.backlog, record.observation.workers
    decision, outcome = record.decision, record.outcome
    numbers: dict[str, float] = {
        "Launches": len(outcome.launched),
        "Terminations": len(outcome.terminated),
        "ScalingFailures": len(outcome.failures),
    }
    if backlog is not None:
        numbers["Backlog"] = backlog.total
    if decision.desired is not None:
        numbers["DesiredInstances"] = decision.desired
    if workers is not None:
        running = sum(worker.state is WorkerState.RUNNING for worker in workers)
        numbers["RunningInstances"] = running
        numbers["BootingInstances"] = len(workers) - running
    logger.info(
        "tick",
        visible=None if backlog is None else backlog.visible,
        in_flight=None if backlog is None else backlog.in_flight,
        workers=None if workers is None else [worker.instance_id for worker in workers],
        desired=decision.desired,
        launch=decision.launch,
        terminate=decision.terminate,
        reasons=decision.reasons,
        launched=[worker.instance_id for worker in outcome.launched],
        terminated=outcome.terminated,
        failures=outcome.failures,
    )
    for name, value in numbers.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.flush_metrics()
