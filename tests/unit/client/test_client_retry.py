"""When and after how long a request is sent again."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces.client.retry import Failure, RetryPolicy, failure_of_status, parse_retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@given(
    tried=st.integers(1, 20),
    idempotent=st.booleans(),
    failure=st.sampled_from(Failure),
    retry_after=st.none() | st.floats(0, 1000),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_delays_keep_their_bounds(
    tried: int, idempotent: bool, failure: Failure, retry_after: float | None, jitter: float
) -> None:
    policy = RetryPolicy()
    delay = policy.delay(
        failure, tried=tried, idempotent=idempotent, retry_after=retry_after, jitter=jitter
    )
    if delay is None:
        assert (
            tried >= policy.tries
            or (failure is Failure.UNCLEAR and not idempotent)
            or (retry_after or 0) > policy.max_retry_after_seconds
        )
    else:
        assert tried < policy.tries
        assert (retry_after or 0) <= delay <= (retry_after or 0) + policy.max_seconds


def test_the_backoff_doubles() -> None:
    policy = RetryPolicy(tries=10, base_seconds=1, max_seconds=5)
    delays = [
        policy.delay(Failure.REFUSED, tried=n, idempotent=True, retry_after=None, jitter=1.0)
        for n in range(1, 5)
    ]
    assert delays == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (200, None),
        (400, None),
        (404, None),
        (500, None),
        (429, Failure.REFUSED),
        (503, Failure.REFUSED),
        (502, Failure.UNCLEAR),
        (504, Failure.UNCLEAR),
    ],
)
def test_which_statuses_are_tried_again(status: int, failure: Failure | None) -> None:
    assert failure_of_status(status) is failure


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0),
        ("Fri, 02 Jan 2026 03:04:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds
