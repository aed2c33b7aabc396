"""What every test of the front end has around it."""

from collections.abc import Iterator

import pytest

from chalice_app.observability import metrics


@pytest.fixture(autouse=True)
def _metrics_of_one_test() -> Iterator[None]:
    """Drop metrics that a test added and no handler sent: Powertools keeps one set a process."""
    yield
    metrics.provider.metric_set.clear()
