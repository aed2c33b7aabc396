"""Wall time by stage."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Timings:
    """Adds up how long each stage of a job took.

    Parameters
    ----------
    clock : monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the `with` block to the stage, also when the block fails."""
        started = self._clock()
        try:
            yield
        finally:
            self.add(name, self._clock() - started)

    def add(self, name: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def milliseconds(self) -> dict[str, float]:
        """Return milliseconds by stage, to the tenth."""
        return {name: round(1000 * seconds, 1) for name, seconds in self._seconds.items()}
