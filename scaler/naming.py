"""The names of workers: `app-tier-instance-<n>`, each borne by one."""

from collections.abc import Collection
from itertools import count

from faces.contracts.names import WORKER_NAME_PREFIX
from scaler.model import Fleet


def nameless(fleet: Fleet) -> tuple[list[str], set[str]]:
    """Return who needs a name, and the names that are borne.

    Of several bearers of one name the first launched keeps it: two launches can be named
    alike while EC2 does not show the earlier one yet.
    """
    groups = (fleet.ready, fleet.booting, fleet.draining, fleet.suspect, fleet.stopped)
    taken: set[str] = set()
    without: list[str] = []
    present = (each for group in groups for each in group)
    for each in sorted(present, key=lambda each: (each.launched_at, each.instance_id)):
        if each.name.startswith(WORKER_NAME_PREFIX) and each.name not in taken:
            taken.add(each.name)
        else:
            without.append(each.instance_id)
    return without, taken


def free_names(taken: Collection[str], number: int) -> list[str]:
    """Return the `number` lowest worker names that no worker bears."""
    free: list[str] = []
    for position in count(1):
        if len(free) == number:
            return free
        name = f"{WORKER_NAME_PREFIX}{position}"
        if name not in taken:
            free.append(name)
    raise AssertionError("count never ends")
