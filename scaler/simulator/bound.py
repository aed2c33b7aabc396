"""What the cheapest fleet would cost that knows every arrival beforehand.

A lower bound: a linear program over time bins that relaxes everything a real fleet has to
keep to. It may run fractions of a worker, boot them before the photos come, hand a photo
to any number of workers, and take photos in any order. It pays for each worker from its
launch: the mean boot time, then every second it is there. Of the photos, a share may be
finished as late as it likes, and where photos differ these are the most laborious ones;
the others are finished within the wait. No schedule that keeps to the wait costs less,
apart from luck with boot times.

    minimise    sum of n[t] * width + boot * u[t]
    subject to  n[t] - n[t-1] <= u[t],  0 <= n[t] <= most
                X[t] + Z[t] - X[t-1] - Z[t-1] <= n[t] * width       (work done in a bin)
                A[t-k] - L[t-k] <= X[t] <= A[t] - L[t]              (done in time, after arrival)
                Z[t] <= L[t] <= A[t] - everything that is not late

with A the work that arrived until the end of bin t, L the part of it that may be late, X
and Z what was done of the punctual and the late part, and k the bins of the wait, rounded
in the bound's favour.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog  # type: ignore[import-untyped]
from scipy.sparse import coo_array  # type: ignore[import-untyped]

from scaler.simulator.traces import Trace

_MOST_BINS = 1500
_LEAST_WIDTH = 2.0


def clairvoyant_cost(trace: Trace, wait: float, late_share: float = 0.05) -> float:
    """Return the dollars below which nobody can stay.

    Parameters
    ----------
    wait : seconds from a photo's arrival to its result.
    late_share : share of the photos that may wait longer.

    Raises
    ------
    RuntimeError
        No fleet within the limit reaches the wait, whatever it costs.
    """
    if not trace.photos:
        return 0.0
    work = np.frombuffer(trace.work, dtype=np.float64)
    arrivals = np.frombuffer(trace.arrivals, dtype=np.float64)
    end = float(arrivals[-1]) + wait + float(work.sum()) / trace.limits.max_instances
    width = max(_LEAST_WIDTH, (end + 1) / _MOST_BINS)
    bins = math.ceil((end + 1) / width)
    late_photos = math.floor(late_share * trace.photos)
    late_work = float(np.sort(work)[trace.photos - late_photos :].sum())
    arrived = np.bincount((arrivals // width).astype(np.int64), weights=work, minlength=bins)
    seconds = _least_seconds(
        np.cumsum(arrived),
        width,
        late_work,
        math.floor(wait / width) + 1,
        trace.ec2.boot_mean,
        trace.limits.max_instances,
    )
    return seconds / 3600 * trace.ec2.hourly_price


def _least_seconds(
    arrived: npt.NDArray[np.float64],
    width: float,
    late_work: float,
    delay: int,
    boot: float,
    most: int,
) -> float:
    """Return the least paid seconds; `arrived` is the work until the end of each bin."""
    bins = len(arrived)
    count, launches, done, late_done, late = (np.arange(bins) + index * bins for index in range(5))
    rows: list[npt.NDArray[np.int64]] = []
    columns: list[npt.NDArray[np.int64]] = []
    values: list[npt.NDArray[np.float64]] = []
    bounds: list[npt.NDArray[np.float64]] = []
    used = 0

    def below(terms: list[tuple[npt.NDArray[np.int64], float]], limit: object) -> None:
        """Add one inequality for each element: the sum of the terms is at most the limit."""
        nonlocal used
        size = max(len(variables) for variables, _ in terms)
        for variables, factor in terms:
            # The earlier of two bins is missing for the first: there it is 0.
            rows.append(np.arange(size - len(variables), size) + used)
            columns.append(variables)
            values.append(np.full(len(variables), factor))
        bounds.append(np.broadcast_to(np.asarray(limit, dtype=np.float64), (size,)))
        used += size

    below([(count, 1.0), (count[:-1], -1.0), (launches, -1.0)], 0.0)
    below(
        [
            (done, 1.0),
            (late_done, 1.0),
            (done[:-1], -1.0),
            (late_done[:-1], -1.0),
            (count, -width),
        ],
        0.0,
    )
    due = np.minimum(np.arange(bins) + delay, bins - 1)
    below([(done[due], -1.0), (late, -1.0)], -arrived)
    below([(done, 1.0), (late, 1.0)], arrived)
    below([(late_done, 1.0), (late, -1.0)], 0.0)
    for growing in (done, late_done, late):
        below([(growing[:-1], 1.0), (growing[1:], -1.0)], 0.0)
    below([(late, 1.0), (late[:-1], -1.0)], np.diff(arrived, prepend=0.0))
    below([(late[-1:], 1.0)], late_work)
    below([(late_done[-1:], -1.0), (late[-1:], 1.0)], 0.0)

    matrix = coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(used, 5 * bins),
    ).tocsr()
    price = np.zeros(5 * bins)
    price[count] = width
    price[launches] = boot
    upper = np.full(5 * bins, np.inf)
    upper[count] = most
    result = linprog(
        price,
        A_ub=matrix,
        b_ub=np.concatenate(bounds),
        bounds=np.column_stack([np.zeros(5 * bins), upper]),
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"no fleet of {most} reaches the wait: {result.message}")
    return float(result.fun)
