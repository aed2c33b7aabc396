"""How a benchmark that is stopped ends what it started."""

import signal
import sys
from types import FrameType

EXIT_TERMINATED = 128 + signal.SIGTERM


def end_in_order() -> None:
    """Have SIGTERM end this process as Ctrl-C does: through every `finally`.

    By itself it ends Python at once, and PostgreSQL, which runs in a session and under an
    account of its own, would go on. `timeout` sends the signal twice: only the first counts.
    """
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(EXIT_TERMINATED)
