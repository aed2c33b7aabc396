"""Signals ask the worker to end; a second one ends it at once."""

import os
import signal
from collections.abc import Iterator

import pytest

from gpu_worker.shutdown import SIGNALS, Shutdown


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_request(number: signal.Signals) -> None:
    shutdown = Shutdown()
    shutdown.install()
    assert not shutdown.requested
    assert not shutdown.wait(0)
    os.kill(os.getpid(), number)
    assert shutdown.wait(5)
    assert shutdown.requested
    for each in SIGNALS:
        assert signal.getsignal(each) is signal.SIG_DFL
