"""The worker's metrics, as lines of CloudWatch's embedded metric format.

CloudWatch reads them from the log ("Embedded metric format specification", CloudWatch user
guide). Values are collected and written every few seconds, so that the number of lines
does not grow with the number of photos.
"""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from faces.contracts.names import METRICS_DIMENSION, METRICS_NAMESPACE
from faces.contracts.version import CODE_VERSION
from gpu_worker.breaker import Breaker, State
from gpu_worker.protocol import Task

MAX_VALUES = 100
"""Values that one metric may have in a line, by the specification."""

NETWORK_STAGES = ("detect", "embed")
"""One thread each: the busier one says how much of the worker is used."""

_BREAKER_VALUES = {State.CLOSED: 0, State.HALF_OPEN: 0.5, State.OPEN: 1}


class Metrics:
    """Collects what the pipeline did.

    Parameters
    ----------
    write : takes a line of JSON.
    clock : returns seconds since 1970.
    image : the machine image, named in each line.
    """

    def __init__(
        self,
        stack: str,
        worker_id: str,
        breakers: Sequence[Breaker],
        write: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
        image: str = "",
    ) -> None:
        self._stack = stack
        self._worker_id = worker_id
        self._breakers = breakers
        self._write = write
        self._clock = clock
        self._image = image
        self._lock = threading.Lock()
        self._since = clock()
        self._clear()

    def _clear(self) -> None:
        self._milliseconds: defaultdict[str, list[float]] = defaultdict(list)
        self._batches: defaultdict[str, list[int]] = defaultdict(list)
        self._failures: Counter[str] = Counter()
        self._images = 0
        self._handed_back = 0

    def stage(self, name: str, seconds: float, tasks: int) -> None:
        """Count one run of a stage over so many tasks."""
        with self._lock:
            self._milliseconds[name].append(round(1000 * seconds, 2))
            self._batches[name].append(tasks)

    def ended(self, task: Task) -> None:
        """Count a task that is through."""
        with self._lock:
            if task.result is None:
                self._handed_back += 1
                return
            self._images += 1
            if task.result.error is not None:
                self._failures[task.result.error.code] += 1

    def flush(self) -> None:
        """Write what was collected since the last time."""
        with self._lock:
            now, since = self._clock(), self._since
            self._since = now
            milliseconds, batches, failures = self._milliseconds, self._batches, self._failures
            images, handed_back = self._images, self._handed_back
            self._clear()
        values: dict[str, tuple[str, object]] = {
            "ImagesPerSecond": ("Count/Second", round(images / max(now - since, 1e-3), 3)),
            "Images": ("Count", images),
            "HandedBack": ("Count", handed_back),
            "Utilisation": ("Percent", _utilisation(milliseconds, now - since)),
        }
        for breaker in self._breakers:
            values[f"Breaker{breaker.name}"] = ("None", _BREAKER_VALUES[breaker.state])
        for name, measured in milliseconds.items():
            values[f"{name.capitalize()}Milliseconds"] = ("Milliseconds", _thinned(measured))
            if max(batches[name]) > 1:
                values[f"{name.capitalize()}BatchSize"] = ("Count", _thinned(batches[name]))
        self._emit(values, {}, now)
        for code, count in failures.items():
            self._emit({"Failures": ("Count", count)}, {"Code": code}, now)

    def _emit(
        self, values: dict[str, tuple[str, object]], further: dict[str, str], now: float
    ) -> None:
        dimensions = {METRICS_DIMENSION: self._stack, **further}
        directive = {
            "Namespace": METRICS_NAMESPACE,
            "Dimensions": [list(dimensions)],
            "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in values.items()],
        }
        line = {
            "_aws": {"Timestamp": round(1000 * now), "CloudWatchMetrics": [directive]},
            **dimensions,
            "message": "metrics",
            "worker_id": self._worker_id,
            "code_version": CODE_VERSION,
            **({"image": self._image} if self._image else {}),
            **{name: value for name, (_, value) in values.items()},
        }
        self._write(json.dumps(line))


def _utilisation(milliseconds: Mapping[str, Sequence[float]], seconds: float) -> float:
    """Return for what share of the time, in percent, the busier network worked."""
    busy = max(sum(milliseconds.get(name, ())) for name in NETWORK_STAGES)
    return round(min(100.0, busy / max(seconds, 1e-3) / 10), 1)


def _thinned(values: Sequence[float]) -> list[float]:
    """Return at most `MAX_VALUES` of the values: the sorted ones at equal distances."""
    if len(values) <= MAX_VALUES:
        return list(values)
    ordered = sorted(values)
    last = len(ordered) - 1
    return [ordered[round(place * last / (MAX_VALUES - 1))] for place in range(MAX_VALUES)]
