"""What is due about single instances, whatever the backlog: boots, claims, orphans."""

from dataclasses import dataclass

from scaler.model import Fleet, FleetConfig, Instance, Market, Reason

# A claim that ends within so many seconds without a confirmation is renewed, as a suspect's.
_RENEW_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Instances about which something is due.

    Attributes
    ----------
    over : to be ended: the worker confirmed its drain, or a suspect still looks dead.
    stoppable : of these, the ones that can be stopped and started again.
    released : claims that expired while nobody looked; their workers go on.
    rescuable : claimed and not confirmed, the latest claim first; `outdated` are those
        that run an older image.
    suspected : newly suspected; `boot_failures` are those that did not boot in time.
    cleared : suspects that came to work after all.
    """

    over: tuple[str, ...]
    stoppable: tuple[str, ...]
    released: tuple[str, ...]
    rescuable: tuple[str, ...]
    outdated: tuple[str, ...]
    suspected: tuple[str, ...]
    boot_failures: tuple[str, ...]
    cleared: tuple[str, ...]
    reasons: tuple[Reason, ...]


_NOTHING = Upkeep((), (), (), (), (), (), (), (), ())


def look_after(fleet: Fleet, config: FleetConfig, now: float) -> Upkeep:
    """Return what is due; an instance on hold is neither suspected nor ended."""
    if not (fleet.booting or fleet.draining or fleet.suspect):
        return _NOTHING
    late = tuple(
        each.instance_id
        for each in fleet.booting
        if now - each.launched_at > config.boot_deadline and each.hold_until <= now
    )
    over: list[Instance] = []
    released: list[str] = []
    rescuable: list[Instance] = []
    unconfirmed: list[str] = []
    for each in fleet.draining:
        left = each.drain_until - now
        if each.hold_until > now:
            if not each.drained:
                released.append(each.instance_id)
        elif each.drained:
            # Without a valid claim it may be at work again: looked at twice.
            if left > 0:
                over.append(each)
            else:
                unconfirmed.append(each.instance_id)
        elif left <= 0:
            released.append(each.instance_id)
        elif left <= _RENEW_SECONDS:
            unconfirmed.append(each.instance_id)
        else:
            rescuable.append(each)
    cleared: list[str] = []
    for each in fleet.suspect:
        if each.hold_until > now:
            continue
        claimed = each.drained or each.drain_until > 0
        if each.ready and not claimed:
            cleared.append(each.instance_id)
        elif each.drained or now - each.orphan_at >= config.orphan_recheck:
            over.append(each)
    rescuable.sort(key=lambda each: -each.drain_until)
    reasons = []
    if late:
        reasons.append(Reason.BOOT_DEADLINE_PASSED)
    if unconfirmed:
        reasons.append(Reason.DRAIN_UNCONFIRMED)
    return Upkeep(
        over=tuple(each.instance_id for each in over),
        stoppable=tuple(
            each.instance_id
            for each in over
            if each.drained and each.market is Market.ON_DEMAND and not each.orphan_at
            if not _old(each, config)
        ),
        released=tuple(released),
        rescuable=tuple(each.instance_id for each in rescuable if not _old(each, config)),
        outdated=tuple(each.instance_id for each in rescuable if _old(each, config)),
        suspected=(*late, *unconfirmed),
        boot_failures=late,
        cleared=tuple(cleared),
        reasons=tuple(reasons),
    )


def _old(instance: Instance, config: FleetConfig) -> bool:
    """Whether an instance is to be replaced anyway."""
    return instance.outdated and config.refresh
