"""What a benchmark measured, as it is printed, plotted and kept."""

import math
import os
import platform
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from faces.contracts.base import StoredDocument


class Figure(StoredDocument):
    """One number, and what it should be.

    Attributes
    ----------
    unit : of `value` and `target`, such as `s` or `img/s`.
    target : the limit that it has to keep, or None.
    better : on which side of the target is good.
    baseline : what it is held against, measured in the same run or published, or None.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"
    baseline: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is kept; None without one."""
        if self.target is None:
            return None
        if self.better == "lower":
            return self.value <= self.target
        return self.value >= self.target


class Outcome(StoredDocument):
    """What one benchmark measured.

    Attributes
    ----------
    samples : the single measurements by series, for the plot.
    sample_unit : their unit.
    notes : what a reader must know, such as random weights.
    """

    benchmark: str
    figures: tuple[Figure, ...]
    samples: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    sample_unit: str = ""
    notes: tuple[str, ...] = ()


class Machine(StoredDocument):
    """Where it was measured: figures of different machines are not comparable."""

    cores: int
    processor: str
    system: str
    python: str

    @classmethod
    def this(cls) -> "Machine":
        """Describe the machine this runs on."""
        return cls(
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
            processor=_processor(),
            system=platform.platform(),
            python=platform.python_version(),
        )


class Report(StoredDocument):
    """One run of the benchmarks; `measured_at` is UTC."""

    version: Literal[1] = 1
    code_version: str
    measured_at: datetime
    machine: Machine
    outcomes: tuple[Outcome, ...]


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that is not below `percent` % of all (nearest rank)."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
