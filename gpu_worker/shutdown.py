"""Ending in order when somebody asks for it: a signal, EC2, or the scaler."""

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class DrainSource(Protocol):
    """Somewhere a request to end may come from."""

    def asked(self) -> str | None:
        """Return why the worker should end, or None as long as it should not."""


class Shutdown:
    """Remembers that the worker was asked to end, and why."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._signalled = threading.Event()
        self.reason = ""

    def install(self) -> None:
        """Listen to SIGTERM and SIGINT; a second one of them ends the process at once."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self._signalled.set()
        self.request(signal.Signals(number).name)

    def request(self, reason: str) -> None:
        """Ask the worker to end; the first reason counts."""
        self.reason = self.reason or reason
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether the worker was asked to end."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep; return True, at once, when the worker is asked to end meanwhile."""
        return self._event.wait(seconds)

    def wait_for_signal(self, seconds: float) -> bool:
        """Sleep; return True, at once, when a signal came, though asked to end before."""
        return self._signalled.wait(seconds)


def watch(sources: Sequence[DrainSource], shutdown: Shutdown, seconds: float) -> None:
    """Ask all sources every so many seconds until the worker is asked to end."""
    while not shutdown.wait(seconds):
        for source in sources:
            if (reason := source.asked()) is not None:
                log.info("asked to end: %s", reason)
                shutdown.request(reason)
                break


def stay(claimed: Callable[[], bool], shutdown: Shutdown, seconds: float) -> bool:
    """Wait to be ended or stopped by who claims the worker, as long as the claim lasts.

    Returns whether the claim was over before a signal came.

    A worker that leaves by itself takes its instance along, also one that is to be kept as a
    warm one. Whoever stops the instance sends a signal first.
    """
    while claimed():
        if shutdown.wait_for_signal(seconds):
            return False
    return True
