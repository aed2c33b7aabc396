"""Requests that wait for a job's end: woken by the cache, or asking again and again."""

import time
from collections.abc import Callable
from itertools import chain, repeat

from faces.cache.cache import Cache, Wakeup
from faces.contracts.jobs import JobView

# A wake-up that is lost (the cache restarts at that moment) must not cost the answer.
_LOOK_WHEN_SURE = 5.0
# Without a cache: often at first, when the answer is near, then seldom.
_LOOK_AFTER = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75)
_LOOK_LAST = 1.0


def wait_for_end(
    look: Callable[[], JobView],
    job_id: str,
    cache: Cache,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> JobView:
    """Return how a job stands as soon as it has ended, or after `seconds`.

    Parameters
    ----------
    look : returns how the job stands now.
    clock : monotonic seconds.
    """
    end = clock() + seconds
    view = look()
    if view.state.final or seconds <= 0:
        return view
    with cache.wakeup(job_id) as wakeup:
        # Once more: it may have ended before anybody listened.
        view = look()
        if view.state.final:
            return view
        return wait_woken(look, wakeup, end, clock)


def wait_woken(
    look: Callable[[], JobView],
    wakeup: Wakeup,
    end: float,
    clock: Callable[[], float] = time.monotonic,
) -> JobView:
    """Return how a job stands as soon as it has ended, or at `end`.

    Parameters
    ----------
    wakeup : has listened since before the job could end.
    end : on `clock`, in seconds.
    """
    pauses = chain(_LOOK_AFTER, repeat(_LOOK_LAST))
    while True:
        pause = _LOOK_WHEN_SURE if wakeup.sure else next(pauses)
        wakeup.wait(max(0.0, min(end - clock(), pause)))
        view = look()
        if view.state.final or clock() >= end:
            return view
