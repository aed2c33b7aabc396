"""One JSON object a line, each with the job it belongs to."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from faces.tracing import trace_id

_SCOPE: ContextVar[dict[str, str]] = ContextVar("log_scope", default={})  # noqa: B039 - never changed
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record, its `extra` fields and the scope as one line of JSON."""

    def __init__(self, **fixed: str) -> None:
        super().__init__()
        self._fixed = fixed

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, tz=UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._fixed,
            **_SCOPE.get(),
        }
        if isinstance(job_id := line.get("job_id"), str):
            line["trace_id"] = _trace_id(job_id)
        line.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _trace_id(job_id: str) -> str | None:
    try:
        return trace_id(job_id)
    except ValueError:
        return None


@contextmanager
def log_scope(**fields: str | None) -> Iterator[None]:
    """Add fields, such as `job_id`, to every line that is logged inside."""
    given = {key: value for key, value in fields.items() if value is not None}
    token = _SCOPE.set({**_SCOPE.get(), **given})
    try:
        yield
    finally:
        _SCOPE.reset(token)


def set_up_logging(level: str, **fixed: str) -> None:
    """Log to standard output from `level` on; `fixed` fields stand in each line."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(**fixed))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)  # as lines of JSON, too
    for noisy in ("botocore", "boto3", "urllib3", "PIL"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
