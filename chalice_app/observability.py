"""Logs, metrics and traces of the front end, through Powertools.

Log lines are JSON and carry the request id and the job id. Never logged: photos, vectors,
API keys. Metrics leave as lines of the log (CloudWatch's embedded metric format).
"""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from faces.contracts.names import METRICS_DIMENSION, METRICS_NAMESPACE
from faces.contracts.settings import StackSettings
from faces.contracts.version import CODE_VERSION

SERVICE = "front-end"

_settings = StackSettings.load(os.environ)

logger = Logger(service=SERVICE, level=_settings.log_level)
metrics = Metrics(namespace=METRICS_NAMESPACE)
metrics.set_default_dimensions(**{METRICS_DIMENSION: _settings.stack})


def count(name: str, dimensions: Mapping[str, str]) -> None:
    """Count one event under further dimensions beside the stack."""
    with single_metric(
        name=name,
        unit=MetricUnit.Count,
        value=1,
        namespace=METRICS_NAMESPACE,
        default_dimensions={METRICS_DIMENSION: _settings.stack, **dimensions},
    ) as metric:
        metric.add_metadata("code_version", CODE_VERSION)


LambdaHandler = Callable[[Any, Any], Any]


def _make_trace() -> Callable[[LambdaHandler], LambdaHandler] | None:
    """Return a decorator that traces a Lambda handler; None outside of real Lambda.

    Only real Lambda sets the address of the X-Ray daemon ("Using Lambda environment
    variables", Lambda developer guide). An emulator sets the other variables of Lambda
    too, and the X-Ray SDK would then log an error for each segment it cannot deliver.
    """
    if "AWS_XRAY_DAEMON_ADDRESS" not in os.environ:
        return None
    tracer = Tracer(service=SERVICE)
    # Answers hold names and who was recognised; they do not belong into traces.
    return functools.partial(tracer.capture_lambda_handler, capture_response=False)


trace = _make_trace()


def instrumented(handler: Callable[[Any], None]) -> Callable[[Any], None]:
    """Give an event handler's log lines the invocation's id; send its metrics at the end.

    A decorator and no middleware of Chalice: Lambda imports the module of an event handler
    alone, so middleware that is registered with the app would never run there.
    """

    @functools.wraps(handler)
    def handled(event: Any) -> None:
        logger.append_keys(request_id=getattr(event.context, "aws_request_id", None))
        try:
            if trace is None:
                handler(event)
            else:
                traced = trace(lambda _event, _context: handler(event))
                traced(event.to_dict(), event.context)
        finally:
            flush_metrics()

    return handled


def flush_metrics() -> None:
    """Send the metrics that were added, where there are any."""
    if metrics.provider.metric_set:
        metrics.add_metadata("code_version", CODE_VERSION)
        metrics.flush_metrics()
