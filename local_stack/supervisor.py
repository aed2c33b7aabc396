"""Starts the parts of the local stack, watches them, and stops them in reverse order."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from enum import StrEnum

from local_stack.progress import Progress, step
from local_stack.service import LocalStackError, Service

log = logging.getLogger(__name__)

_FIRST_RESTART_SECONDS = 0.5
_LONGEST_RESTART_SECONDS = 30.0


class PartState(StrEnum):
    """Where a part stands."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"


@dataclass
class Part:
    """A service under supervision.

    Attributes
    ----------
    port : where it answers on 127.0.0.1, if anywhere.
    revive : starts it again when it died, where more is to be done than its own start.
    restarts : how often it was.
    """

    service: Service
    port: int | None = None
    revive: Callable[[], None] | None = None
    state: PartState = PartState.STARTING
    restarts: int = 0
    _try_at: float = 0.0

    @property
    def pid(self) -> int | None:
        pid = getattr(self.service, "pid", None)
        return pid if isinstance(pid, int) and self.service.alive() else None


def restart_delay(restarts: int) -> float:
    """Return the seconds to wait before the restart that follows `restarts` earlier ones."""
    return min(_FIRST_RESTART_SECONDS * 2.0**restarts, _LONGEST_RESTART_SECONDS)


class Supervisor:
    """Owns the parts, in the order of their start."""

    def __init__(
        self,
        progress: Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
        watch_seconds: float = 1.0,
    ) -> None:
        self._progress = progress
        self._clock = clock
        self._watch_seconds = watch_seconds
        self._parts: list[Part] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self, part: Part) -> None:
        """Start `part` and wait until it answers.

        Raises
        ------
        LocalStackError
            When it does not start, or when everything is being stopped.
        """
        with self._lock:
            if self._stopping.is_set():
                raise LocalStackError("The local stack is being stopped.")
            self._parts.append(part)
        with step(self._progress, part.service.name, self._stopping.is_set):
            part.service.start()
        part.state = PartState.RUNNING

    def together(self, *tasks: Callable[[], None]) -> None:
        """Run `tasks` at the same time; the first that fails stops everything and is raised."""
        pool = ThreadPoolExecutor(len(tasks), thread_name_prefix="start")
        futures = [pool.submit(task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            # Ends the starts that are still under way, so that nobody waits for them.
            self._stop_parts()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def watch(self, *chores: Callable[[], None]) -> None:
        """Watch the parts in a thread, until `stop`; do the chores after each look."""
        self._watcher = threading.Thread(
            target=self._watch, args=chores, name="watcher", daemon=True
        )
        self._watcher.start()

    def stop(self) -> None:
        """Stop every part in reverse order; harmless when called again."""
        self._stop_parts()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
            self._stop_parts()  # what the watcher may have restarted meanwhile

    def parts(self) -> list[Part]:
        """Return the parts in the order of their start."""
        with self._lock:
            return list(self._parts)

    def check(self) -> None:
        """Look at every part once; start again what died."""
        now = self._clock()
        for part in self.parts():
            if self._stopping.is_set():
                return
            if part.state is PartState.RUNNING and not part.service.alive():
                self._note_death(part, now)
            if part.state is PartState.RESTARTING and now >= part._try_at:
                self._restart(part, now)

    def _note_death(self, part: Part, now: float) -> None:
        code = getattr(part.service, "returncode", None)
        log.error("%s died (exit code %s)", part.service.name, code)
        part.state = PartState.RESTARTING
        part._try_at = now + restart_delay(part.restarts)

    def _restart(self, part: Part, now: float) -> None:
        # Another part's revival may have started it too.
        if not part.service.alive():
            part.restarts += 1
            try:
                (part.revive or part.service.start)()
            except Exception:  # a revival does many things, and the watcher must go on
                log.exception("%s does not start again", part.service.name)
                part._try_at = now + restart_delay(part.restarts)
                return
        part.state = PartState.RUNNING
        log.info("%s runs again", part.service.name)

    def _watch(self, *chores: Callable[[], None]) -> None:
        while not self._stopping.wait(self._watch_seconds):
            self.check()
            for chore in chores:
                try:
                    chore()
                except Exception:  # whatever it is, the parts need their watcher
                    log.exception("a chore failed")

    def _stop_parts(self) -> None:
        with self._lock:
            self._stopping.set()
            parts = list(self._parts)
        for part in reversed(parts):
            try:
                part.service.stop()
            except (LocalStackError, OSError):
                log.exception("%s could not be stopped", part.service.name)
