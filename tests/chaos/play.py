"""Plays scenarios, several at once where none harms what they share, and counts."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.chaos.accounting import Account, account
from tests.chaos.place import Place
from tests.chaos.rig import Rig
from tests.chaos.scenarios import SCENARIOS, SHORT, Scenario


@dataclass(frozen=True)
class Outcome:
    """One line of the table.

    Attributes
    ----------
    seconds : the whole scenario.
    recovery_seconds : from the end of the fault until every upload had ended.
    skipped : why it was not played.
    """

    name: str
    account: Account
    seconds: float
    recovery_seconds: float
    noticed: tuple[str, ...]
    skipped: str = ""

    @property
    def good(self) -> bool:
        return bool(self.skipped) or (self.account.clean and not self.noticed)


def played(place: Place, each: Scenario, scale: float, seed: int) -> Outcome:
    """Play one scenario on a stack of its own and count."""
    began = time.monotonic()
    name = f"chaos-{seed % 10_000}-{SCENARIOS.index(each)}"
    options = each.options | (each.short if scale < SHORT else {})
    with Rig(place, name, seed=seed, **options) as rig:  # type: ignore[arg-type]
        noticed = each.play(rig, scale)
        recovery = rig.settle(each.settle_seconds)
        ledger = rig.close_books()
    skipped = next((line for line in noticed if line.startswith("skipped")), "")
    return Outcome(
        name=each.name,
        account=account(ledger),
        seconds=time.monotonic() - began,
        recovery_seconds=recovery,
        noticed=tuple(noticed),
        skipped=skipped,
    )


def played_all(
    place: Place,
    wanted: Sequence[Scenario],
    scale: float,
    seed: int,
    *,
    at_once: int,
    say: Callable[[str], None] = lambda _: None,
    until: float = math.inf,
) -> list[Outcome]:
    """Play scenarios, several at once where none harms what they share; keep their order.

    Parameters
    ----------
    say : is told each beginning and each end.
    until : monotonic seconds; nothing begins after them.
    """

    def play(each: Scenario) -> Outcome | None:
        if time.monotonic() > until:
            say(f"out of time before: {each.name}")
            return None
        say(f"begins: {each.name}")
        outcome = played(place, each, scale, seed)
        problems = "; ".join((*outcome.account.problems, *outcome.noticed))
        say(f"ended after {outcome.seconds:.0f} s: {each.name} {problems}")
        return outcome

    with ThreadPoolExecutor(at_once) as pool:
        together = [each for each in wanted if not each.alone]
        found = dict(zip((each.name for each in together), pool.map(play, together), strict=True))
    found |= {each.name: play(each) for each in wanted if each.alone}
    outcomes = (found[each.name] for each in wanted)
    return [outcome for outcome in outcomes if outcome is not None]
