"""Signals ask the worker to end; a second one ends it at once."""

import os
import signal
from collections.abc import Iterator

import pytest

from gpu_worker.shutdown import SIGNALS, Shutdown, stay


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


def test_a_drained_worker_stays_until_its_claim_is_over() -> None:
    answers = [True, True, False]
    assert stay(lambda: answers.pop(0), Shutdown(), 0)
    assert answers == []


def test_a_drained_worker_goes_at_once_when_its_instance_is_stopped() -> None:
    shutdown = Shutdown()
    shutdown.install()
    shutdown.request("drain tag")
    assert not shutdown.wait_for_signal(0)
    asked = []

    def claimed() -> bool:
        asked.append(1)
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    assert not stay(claimed, shutdown, 60)
    assert len(asked) == 1
    assert shutdown.reason == "drain tag"
