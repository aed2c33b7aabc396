"""Fixtures of the scaler's tests."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def silence() -> Iterator[None]:
    """Keep the log quiet where thousands of failures are made on purpose."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
