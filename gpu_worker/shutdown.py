"""Ending in order when a signal asks for it."""

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Remembers that the worker was asked to end."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def install(self) -> None:
        """Listen to SIGTERM and SIGINT; a second one of them ends the process at once."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self.request()

    def request(self) -> None:
        """Ask the worker to end after what it has in hand."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether the worker was asked to end."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep; return True, at once, when the worker is asked to end meanwhile."""
        return self._event.wait(seconds)
