"""What each part of a stack holds and uses while a load runs: memory and time of the cores."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

import psutil

from local_stack.stack import STAGE, LocalStack

USERS = "users"
OTHERS = "other programs"


@dataclass(frozen=True)
class Sample:
    """One look: MiB (shared pages once) and seconds of a core so far, by part."""

    at: float
    held: Mapping[str, float]
    used: Mapping[str, float]


@dataclass
class Usage:
    """Looks at every part of a stack every `seconds` between `with` and its end.

    All workers count as one part; the Lambdas of one function, too, apart from the
    emulator that runs them; and this process with its children, which are the users.

    Attributes
    ----------
    samples : oldest first.
    """

    stack: LocalStack
    seconds: float = 2.0
    samples: list[Sample] = field(default_factory=list)
    _seen: dict[int, tuple[str, float]] = field(default_factory=dict)

    def __enter__(self) -> "Usage":
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._run, daemon=True)
        self.sample()
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._watch.join()
        self.sample()

    def _run(self) -> None:
        while not self._over.wait(self.seconds):
            self.sample()

    def sample(self) -> None:
        """Look once."""
        held: dict[str, float] = {}
        for process, name in self._processes().items():
            try:
                with process.oneshot():
                    spent = sum(process.cpu_times()[:2])
                    mib = process.memory_full_info().pss / 2**20
            except (psutil.Error, AttributeError):
                continue
            held[name] = held.get(name, 0.0) + mib
            # Of a process that ended the last look counts.
            self._seen[process.pid] = (name, spent)
        used: dict[str, float] = {}
        for name, spent in self._seen.values():
            used[name] = used.get(name, 0.0) + spent
        # All that was done by anybody, which says how quiet the machine was.
        busy = psutil.cpu_times()
        used[OTHERS] = sum(busy) - busy.idle - busy.iowait - sum(used.values())
        self.samples.append(Sample(time.monotonic(), held, used))

    def _processes(self) -> dict[psutil.Process, str]:
        here = psutil.Process()
        found = dict.fromkeys([here, *here.children(recursive=True)], USERS)
        for part in self.stack.parts():
            if part.pid is None:
                continue
            name = "workers" if part.name.startswith("worker ") else part.name
            try:
                process = psutil.Process(part.pid)
                family = [process, *process.children(recursive=True)]
            except psutil.Error:
                continue
            found.update({each: _function(each) or name for each in family})
        return found

    def cores(self) -> dict[str, float]:
        """Return by part how many cores it kept busy on average."""
        first, last = self.samples[0], self.samples[-1]
        took = max(1e-9, last.at - first.at)
        return {name: (last.used[name] - first.used.get(name, 0.0)) / took for name in last.used}

    def over_time(self) -> dict[str, list[tuple[float, float]]]:
        """Return by part the (minutes, MiB) of each look."""
        began, found = self.samples[0].at, dict[str, list[tuple[float, float]]]()
        for each in self.samples:
            for name, mib in each.held.items():
                found.setdefault(name, []).append(((each.at - began) / 60, mib))
        return found

    def growth(self) -> dict[str, tuple[float, float]]:
        """Return by part the MiB that it held in the second third of the time, and in the last.

        Each is the mean of what was held. The first third is left out: a part that warms up
        grows. So is a part that was there in only one of the other two.
        """
        third = max(1, len(self.samples) // 3)
        middle, end = self.samples[third : 2 * third], self.samples[-third:]
        found = {}
        for name in self.samples[-1].held:
            thirds = [
                [each.held[name] for each in part if name in each.held] for part in (middle, end)
            ]
            if all(thirds):
                found[name] = (sum(thirds[0]) / len(thirds[0]), sum(thirds[1]) / len(thirds[1]))
        return found


def _function(process: psutil.Process) -> str | None:
    """Return the name of the Lambda function that a process runs, if it runs one."""
    try:
        function = process.environ().get("AWS_LAMBDA_FUNCTION_NAME", "")
    except psutil.Error:
        return None
    # Chalice names the function of the routes after the stage alone.
    name = function.rsplit("-", 1)[-1].replace(STAGE, "API")
    return f"Lambda {name}" if function else None
