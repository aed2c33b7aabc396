"""What the next tick must know of this one: pure updates of the state from a reading."""

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from scaler.flow import load
from scaler.model import Backlog, Fleet, FleetConfig, Observation
from scaler.state import ControllerState, Usage

_DAY = 86_400
# Weight of one new measurement in a running mean.
_NEW = 0.2
_MAX_SAMPLES = 24
_LONGEST_GAP = 120.0
# CloudWatch counts whole minutes, and shows them a minute late.
_METRIC_LAG = 120.0
# Over which the throughput is averaged, and what has to be seen of it first.
_THROUGHPUT_SECONDS = 1800.0
_LEAST_BUSY_SECONDS = 60.0
# When something last happened, or since when it does.
_PAST = ("ticked_at", "quiet_since", "waiting_since", "lost_at", "scaled_out_at", "scaled_in_at")


def remember(
    state: ControllerState,
    observation: Observation,
    backlog: Backlog,
    fleet: Fleet,
    config: FleetConfig,
    now: float,
) -> ControllerState:
    """Return the state with everything that this reading adds to it."""
    # Longer gaps are not accounted for: nobody knows what ran in a pause of the controller.
    elapsed = min(max(0.0, now - state.ticked_at), _LONGEST_GAP) if state.ticked_at else 0.0
    total = backlog.total
    back = max(config.latency_target, 2 * config.flow.surge_seconds)
    launched = _unseen(state, fleet, config, now)
    capacity = len(fleet.ready) + len(fleet.booting) + len(launched)
    lost = state.capacity - capacity
    suddenly = total > 0 and lost > max(1, config.loss_fraction * state.capacity)
    photos = _completed(state, observation, total)
    return replace(
        state,
        ticked_at=now,
        quiet_since=0.0 if total else state.quiet_since or now,
        waiting_since=(state.waiting_since or now) if backlog.visible else 0.0,
        samples=_thinned((*state.samples, (now, total)), now - back),
        launched=launched,
        booting={each.instance_id: each.launched_at for each in fleet.booting},
        boot_seconds=_mean(state.boot_seconds, observation.booted),
        load=load(state, backlog, fleet, elapsed, config),
        cool_offs={key: until for key, until in state.cool_offs.items() if until > now}
        if state.cool_offs
        else state.cool_offs,
        lost_at=now if suddenly else state.lost_at,
        dead=_dead(state, backlog, config, now),
        dead_level=backlog.dead,
        **_measured(
            state,
            photos,
            backlog,
            fleet,
            elapsed,
            now,
            late=observation.completed is not None,
        ),
        usage=_usage(state.usage, fleet, photos, len(observation.booted), elapsed, now),
    )


def not_ahead(state: ControllerState, config: FleetConfig, now: float) -> ControllerState:
    """Return the state without the times to come that a clock which was ahead left behind.

    What happened did so by now; what waits, waits no longer than it was meant to.
    """
    if state.ticked_at <= now:
        return state
    breaker, made = state.breaker, state.intent
    past: dict[str, Any] = {name: min(getattr(state, name), now) for name in _PAST} | {
        name: tuple((min(at, now), number) for at, number in getattr(state, name))
        for name in ("wants", "dead")
    }
    return replace(
        state,
        **past,
        samples=(),
        busy=(),
        launched={each: min(at, now) for each, at in state.launched.items()},
        cool_offs={
            key: min(until, now + config.cool_off_seconds) for key, until in state.cool_offs.items()
        },
        backoff_until=min(state.backoff_until, now + state.backoff),
        breaker=replace(
            breaker,
            until=min(breaker.until, now + breaker.wait),
            probe_at=min(breaker.probe_at, now),
        ),
        intent=None if made is None else replace(made, at=min(made.at, now)),
    )


def confirmed(state: ControllerState, total: int, config: FleetConfig) -> int:
    """Return the backlog as far as the reading before confirms it.

    Approximate counts jump now and then; only growth far above the last reading has to be
    seen twice, and what one tick can launch anyway is never held back.
    """
    floor = max(config.spike_floor, config.launch_batch * config.messages_per_instance)
    return min(total, max(floor, math.ceil(state.level * config.spike_factor)))


def oldest_age(state: ControllerState, observation: Observation, now: float) -> float | None:
    """Return the measured age of the oldest waiting message, or a bound from above."""
    if not state.waiting_since:
        return None
    bound = now - state.waiting_since
    return bound if observation.oldest_age is None else max(0.0, observation.oldest_age)


def newly_booted(state: ControllerState, fleet: Fleet, now: float) -> tuple[float, ...]:
    """Return the boot times of the instances that became ready since the last tick.

    Over a longer gap between ticks nobody knows when they did: soon after the last look.
    """
    coming = {**state.launched, **state.booting}
    if not coming:
        return ()
    looked = state.ticked_at + min(now - state.ticked_at, _LONGEST_GAP)
    return tuple(
        max(0.0, looked - coming[each.instance_id])
        for each in fleet.ready
        if each.instance_id in coming
    )


def _unseen(
    state: ControllerState, fleet: Fleet, config: FleetConfig, now: float
) -> dict[str, float]:
    """Return the own launches that EC2 does not show yet (it is eventually consistent).

    An instance that was started counts until EC2 no longer shows it as stopped.
    """
    if not state.launched:
        return {}
    seen: Collection[str] = {
        each.instance_id
        for group in (fleet.booting, fleet.ready, fleet.draining, fleet.suspect)
        for each in group
    }
    return {
        instance_id: at
        for instance_id, at in state.launched.items()
        if instance_id not in seen and now - at < config.unseen_seconds
    }


def _mean(known: float, measured: Collection[float]) -> float:
    for value in measured:
        known = known + _NEW * (value - known) if known else value
    return known


def _completed(state: ControllerState, observation: Observation, total: int) -> float:
    """Return the messages finished since the last tick: measured, or at least so many."""
    if observation.completed is not None:
        return observation.completed
    return max(0, state.samples[-1][1] - total) if state.samples else 0


def _measured(
    state: ControllerState,
    photos: float,
    backlog: Backlog,
    fleet: Fleet,
    elapsed: float,
    now: float,
    *,
    late: bool,
) -> dict[str, Any]:
    """Return what is known of one busy worker's throughput after this reading.

    The count of CloudWatch is `late` by about two minutes, so it is divided by the workers
    that were busy then. Without it `photos` is a lower bound: it tells something only while
    all workers are busy, and pulls up more than down.
    """
    number = min(len(fleet.ready), backlog.in_flight)
    busy = (*(each for each in state.busy if now - each[0] <= _METRIC_LAG), (now, number))
    if late:
        fade = math.exp(-elapsed / _THROUGHPUT_SECONDS)
        then = busy[0][1] if now - busy[0][0] > _METRIC_LAG - 2 * elapsed else 0
        done = state.done * fade + photos
        seconds = state.busy_seconds * fade + then * elapsed
        sure = done > 0 and seconds >= _LEAST_BUSY_SECONDS
        rate = done / seconds if sure else state.throughput
        return {"busy": busy, "done": done, "busy_seconds": seconds, "throughput": rate}
    rate = state.throughput
    if elapsed and fleet.ready and photos and backlog.visible and state.waiting_since:
        seen = photos / elapsed / len(fleet.ready)
        rate = rate + (_NEW if seen > rate else _NEW / 10) * (seen - rate) if rate else seen
    return {"busy": busy, "throughput": rate}


def _thinned(samples: tuple[tuple[float, int], ...], since: float) -> tuple[tuple[float, int], ...]:
    """Drop what is older than `since`; beyond a number keep every other of the older half."""
    kept = [sample for sample in samples if sample[0] >= since]
    if len(kept) > _MAX_SAMPLES:
        half = _MAX_SAMPLES // 2
        kept = kept[:half:2] + kept[half:]
    return tuple(kept)


def _dead(
    state: ControllerState, backlog: Backlog, config: FleetConfig, now: float
) -> tuple[tuple[float, int], ...]:
    before = backlog.dead if state.dead_level is None else state.dead_level
    kept = tuple(each for each in state.dead if now - each[0] < config.dead_letter_window)
    return (*kept, (now, backlog.dead - before)) if backlog.dead > before else kept


def _usage(
    usage: Usage, fleet: Fleet, photos: float, booted: int, elapsed: float, now: float
) -> Usage:
    day = int(now // _DAY)
    if day != usage.day:
        usage = Usage(day=day)
    if not (elapsed or photos or booted):
        return usage
    return replace(
        usage,
        instance_seconds=usage.instance_seconds + fleet.paid * elapsed,
        cost=usage.cost + fleet.hourly_price * elapsed / 3600,
        booted=usage.booted + booted,
        photos=usage.photos + photos,
    )
