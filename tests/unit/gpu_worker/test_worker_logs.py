"""Log lines are JSON and carry their job."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gpu_worker.logs import JsonFormatter, log_scope


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(output: io.StringIO) -> Iterator[logging.Logger]:
    logger = logging.getLogger("test.worker")
    handler = logging.StreamHandler(output)
    handler.setFormatter(JsonFormatter(stack="faces-test"))
    logger.addHandler(handler)
    logger.setLevel("INFO")
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)


def lines(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_has_its_scope_and_extras(log: logging.Logger, output: io.StringIO) -> None:
    with log_scope(job_id="j1", request_id=None):
        log.info("job %s", "ended", extra={"faces": 2})
    log.info("outside")
    inside, outside = lines(output)
    assert inside["message"] == "job ended"
    assert (inside["job_id"], inside["faces"], inside["stack"]) == ("j1", 2, "faces-test")
    assert (inside["level"], inside["logger"]) == ("INFO", "test.worker")
    assert str(inside["timestamp"]).endswith("+00:00")
    assert "request_id" not in inside
    assert "job_id" not in outside


def test_scopes_nest(log: logging.Logger, output: io.StringIO) -> None:
    with log_scope(job_id="j1"), log_scope(stage="decode"):
        log.info("x")
    [line] = lines(output)
    assert (line["job_id"], line["stage"]) == ("j1", "decode")


def test_an_exception_stays_on_one_line(log: logging.Logger, output: io.StringIO) -> None:
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        log.exception("failed")
    [line] = lines(output)
    assert "ValueError: bad" in str(line["exception"])
