"""The traffic that the rules are compared on, each from a seed, with its trouble at EC2."""

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_HOUR = 3600.0
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Ec2Model:
    """How EC2 behaves in a simulation (seconds).

    Attributes
    ----------
    boot_median, boot_spread : boot times are lognormal, from the launch to the first
        message; `boot_spread` is the standard deviation of their logarithm.
    hourly_price : dollars for an instance-hour.
    billing_minimum : least time that a launch is paid for.
    droughts : `(start, end, pools)`: in this time the first so many pools give nothing.
    pools : how many (type, zone) pairs there are.
    boot_failures : share of the launches that never come to work.
    mean_life : mean time until an instance dies; None when none does.
    throttled : share of the calls that are refused and may be tried again.
    """

    boot_median: float = 75.0
    boot_spread: float = 0.2
    hourly_price: float = 0.526
    billing_minimum: float = 60.0
    droughts: tuple[tuple[float, float, int], ...] = ()
    pools: int = 3
    boot_failures: float = 0.0
    mean_life: float | None = None
    throttled: float = 0.0

    @property
    def boot_mean(self) -> float:
        return self.boot_median * math.exp(self.boot_spread**2 / 2)


@dataclass(frozen=True, slots=True)
class Limits:
    """What every rule has to keep to; the product's defaults."""

    max_instances: int = 15
    launch_batch: int = 5
    messages_per_instance: int = 5


@dataclass(frozen=True)
class Trace:
    """Photos that arrive, and the world they arrive in.

    Attributes
    ----------
    arrivals : sorted seconds since the start, one a photo.
    work : seconds of one worker, for each photo.
    horizon : length of the trace in seconds; what is left then is still worked off.
    """

    name: str
    title: str
    arrivals: "array[float]"
    work: "array[float]"
    horizon: float
    ec2: Ec2Model = field(default_factory=Ec2Model)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if len(self.arrivals) != len(self.work):
            raise ValueError("each photo needs its work")

    @property
    def photos(self) -> int:
        return len(self.arrivals)


def make_trace(name: str, seed: int = 0, scale: float = 1.0) -> Trace:
    """Return a trace by its name.

    Parameters
    ----------
    scale : of the trace's length (of the photos of a burst); tests run a part of it.

    Raises
    ------
    KeyError
        No trace has this name.
    """
    return TRACES[name](np.random.default_rng([seed, *name.encode()]), scale)


def _trace(
    name: str,
    title: str,
    rng: np.random.Generator,
    arrivals: Floats,
    horizon: float,
    *,
    photo_seconds: float = 4.0,
    ec2: Ec2Model | None = None,
    limits: Limits | None = None,
) -> Trace:
    # Photos differ by size and number of faces: a coefficient of variation of 0.3.
    work = rng.gamma(1 / 0.09, 0.09 * photo_seconds, size=len(arrivals))
    return Trace(
        name=name,
        title=title,
        arrivals=array("d", np.sort(arrivals).tobytes()),
        work=array("d", work.tobytes()),
        horizon=horizon,
        ec2=ec2 or Ec2Model(),
        limits=limits or Limits(),
    )


def poisson(rng: np.random.Generator, rate: Callable[[Floats], Floats], length: float) -> Floats:
    """Return arrivals of an inhomogeneous Poisson process, `rate` in photos a second.

    The rate is taken as constant within each second.
    """
    seconds = np.arange(math.ceil(length), dtype=np.float64)
    counts = rng.poisson(np.maximum(0.0, rate(seconds)))
    arrivals: Floats = np.repeat(seconds, counts)
    arrivals += rng.random(len(arrivals))
    return np.minimum(arrivals, length)


def _steady(rng: np.random.Generator, scale: float) -> Trace:
    length = 8 * _HOUR * scale
    arrivals = poisson(rng, lambda t: np.full_like(t, 2.0), length)
    return _trace("steady", "2 photos a second", rng, arrivals, length)


def _burst(rng: np.random.Generator, scale: float) -> Trace:
    count = round(1000 * scale)
    return _trace(
        "burst",
        f"{count:,} photos at once on an empty fleet",
        rng,
        60.0 + rng.random(count) * 2.0,
        _HOUR,
    )


def day_curve(seconds: Floats, mean: float, swing: float = 0.85) -> Floats:
    """Return photos a second over a day: least at 4 h, most at 16 h."""
    return mean * (1 - swing * np.cos((seconds / _DAY - 4 / 24) * 2 * math.pi))


def _daily(rng: np.random.Generator, scale: float) -> Trace:
    length = _DAY * scale
    arrivals = poisson(rng, lambda t: day_curve(t / scale, 1.5), length)
    return _trace("daily", "a day, 0.2 to 2.8 photos a second", rng, arrivals, length)


def _sparse(rng: np.random.Generator, scale: float) -> Trace:
    length = 3 * _DAY * scale
    arrivals = poisson(rng, lambda t: np.full_like(t, 1 / 1200), length)
    return _trace("sparse", "a photo every 20 minutes", rng, arrivals, length)


def _flash(rng: np.random.Generator, scale: float) -> Trace:
    length = 4 * _HOUR * scale

    def rate(t: Floats) -> Floats:
        since = t - length / 4
        crowd = np.where(since < 0, 0.0, np.minimum(since / 60, 1) * np.exp(-since / 900))
        return np.asarray(0.3 + 5.0 * crowd)

    return _trace(
        "flash", "a flash crowd, 17 times the load", rng, poisson(rng, rate, length), length
    )


def _drought(rng: np.random.Generator, scale: float) -> Trace:
    length = 4 * _HOUR * scale
    arrivals = poisson(rng, lambda t: 1.5 + 1.2 * np.sin(t / length * 6 * math.pi), length)
    ec2 = Ec2Model(droughts=((0.1 * length, 0.3 * length, 1), (0.45 * length, 0.6 * length, 2)))
    return _trace(
        "drought", "waves of load, pools without capacity", rng, arrivals, length, ec2=ec2
    )


def _lossy(rng: np.random.Generator, scale: float) -> Trace:
    length = 4 * _HOUR * scale
    arrivals = poisson(rng, lambda t: np.full_like(t, 1.5), length)
    ec2 = Ec2Model(boot_failures=0.08, mean_life=1800.0, throttled=0.1)
    return _trace(
        "lossy",
        "instances live 30 minutes, 8% never boot, 10% of calls throttled",
        rng,
        arrivals,
        length,
        ec2=ec2,
    )


def _internet(rng: np.random.Generator, scale: float) -> Trace:
    length = _DAY * scale

    def rate(t: Floats) -> Floats:
        crowd = 150.0 * np.exp(-(((t - 0.75 * length) / 1200) ** 2))
        return day_curve(t / scale, 10e6 / _DAY) + crowd

    arrivals = poisson(rng, rate, length)
    return _trace(
        "internet",
        "10 million photos a day and a crowd in the evening, up to 2,000 instances",
        rng,
        arrivals,
        length,
        photo_seconds=6.0,
        limits=Limits(max_instances=2000, launch_batch=100),
    )


TRACES: dict[str, Callable[[np.random.Generator, float], Trace]] = {
    "steady": _steady,
    "burst": _burst,
    "daily": _daily,
    "sparse": _sparse,
    "flash": _flash,
    "drought": _drought,
    "lossy": _lossy,
    "internet": _internet,
}
