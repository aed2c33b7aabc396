"""The figures of docs/sizing.md: `python -m docs.sizing_table` prints them, in half a minute."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from scaler.simulator.run import simulate
from scaler.simulator.traces import Ec2Model, Limits, _trace, day_curve, poisson

_DAY = 86_400.0


@dataclass(frozen=True)
class Machine:
    """A kind of worker; `hourly_price` in dollars, `photo_seconds` of a worker's time."""

    name: str
    photo_seconds: float
    hourly_price: float


MACHINES = (Machine("c7i.large", 0.5, 0.0893), Machine("g4dn.xlarge", 0.05, 0.526))
PHOTOS_A_DAY = (1_000, 10_000, 100_000, 1_000_000)
# Above 0.5 s a photo the peak of a million photos a day is more than 15 workers can take.
_MORE = Limits(max_instances=30)


def rows(machine: Machine) -> Iterator[str]:
    """Yield a line of the table for each number of photos and each rule."""
    for photos in PHOTOS_A_DAY:
        rng = np.random.default_rng(0)
        mean = photos / _DAY
        arrivals = poisson(rng, partial(day_curve, mean=mean), _DAY)
        trace = _trace(
            "day",
            f"{photos:,} photos a day",
            rng,
            arrivals,
            _DAY,
            photo_seconds=machine.photo_seconds,
            ec2=Ec2Model(hourly_price=machine.hourly_price),
            limits=_MORE if mean * machine.photo_seconds > 5 else Limits(),
        )
        for rule in ("given", "flow"):
            done = simulate(trace, rule)
            waits = " | ".join(f"{done.wait(percent):.1f} s" for percent in (50, 95, 99))
            yield (
                f"| {photos:,} | {rule} | {done.peak} | {done.instance_hours:.1f} "
                f"| {done.cost:.2f} | {1000 * done.cost / len(arrivals):.2f} | {waits} |"
            )


def main() -> None:
    for machine in MACHINES:
        sys.stdout.write(f"\n{machine.name}, {machine.photo_seconds} s a photo\n")
        for row in rows(machine):
            sys.stdout.write(row + "\n")


if __name__ == "__main__":
    main()
