"""The books find each way in which a photo can be lost, stuck or doubled."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.chaos.accounting import GAVE_UP, SUCCEEDED, Ledger, account


def clean() -> Ledger:
    """Return the books of a run in which a and b succeeded and p was poison."""
    ends = {"a": SUCCEEDED, "b": SUCCEEDED, "p": GAVE_UP}
    return Ledger(
        uploads=dict(ends),
        events=Counter(ends),
        requests=Counter(ends),
        results=dict(ends),
        told={job: Counter([end]) for job, end in ends.items()},
        dead_letters={"p"},
        enrolments={"a"},
        enrolled=Counter({"a": 1}),
    )


def test_clean_books() -> None:
    found = account(clean())
    assert (found.tried, found.survived, found.problems) == (3, 3, ())
    assert found.clean


def test_what_is_told_again_harms_nobody() -> None:
    ledger = clean()
    assert ledger.told is not None
    ledger.told["a"][SUCCEEDED] += 2
    found = account(ledger)
    assert (found.repeated, found.clean) == (2, True)


def test_who_is_put_back_may_still_succeed_or_be_given_up() -> None:
    ledger = clean()
    ledger.put_back.update({"a": 2, "p": 1})
    found = account(ledger)
    assert (found.put_back, found.survived, found.clean) == (3, 3, True)


def no_result(ledger: Ledger) -> None:
    del ledger.results["a"]
    assert ledger.told is not None
    del ledger.told["a"]


def stuck(ledger: Ledger) -> None:
    no_result(ledger)
    ledger.left = {"req-queue": 1}


def untold(ledger: Ledger) -> None:
    assert ledger.told is not None
    del ledger.told["a"]


def told_twice_differently(ledger: Ledger) -> None:
    assert ledger.told is not None
    ledger.told["a"][GAVE_UP] += 1


def told_wrongly(ledger: Ledger) -> None:
    assert ledger.told is not None
    ledger.told["a"] = Counter(["corrupt_image"])


def given_up_innocently(ledger: Ledger) -> None:
    ledger.results["a"] = GAVE_UP
    assert ledger.told is not None
    ledger.told["a"] = Counter([GAVE_UP])
    ledger.dead_letters.add("a")


def without_letter(ledger: Ledger) -> None:
    ledger.dead_letters.clear()


def without_event(ledger: Ledger) -> None:
    assert ledger.events is not None
    del ledger.events["b"]


def without_message(ledger: Ledger) -> None:
    assert ledger.requests is not None
    del ledger.requests["b"]


def without_face(ledger: Ledger) -> None:
    ledger.enrolled.clear()


def heard_of(ledger: Ledger) -> None:
    ledger.dead_letters.add("z")


def rewritten(ledger: Ledger) -> None:
    ledger.rewritten.add("b")


def from_nowhere(ledger: Ledger) -> None:
    ledger.results["z"] = SUCCEEDED
    assert ledger.told is not None
    ledger.told["z"] = Counter([SUCCEEDED])


def enrolled_twice(ledger: Ledger) -> None:
    ledger.enrolled["a"] = 2


def wrong_end(ledger: Ledger) -> None:
    ledger.results["b"] = "corrupt_image"
    assert ledger.told is not None
    ledger.told["b"] = Counter(["corrupt_image"])


def leftover(ledger: Ledger) -> None:
    ledger.left = {"resp-queue": 1}


@pytest.mark.parametrize(
    ("spoil", "column"),
    [
        (no_result, "lost"),
        (untold, "lost"),
        (given_up_innocently, "lost"),
        (without_letter, "lost"),
        (without_event, "lost"),
        (without_message, "lost"),
        (without_face, "lost"),
        (stuck, "stuck"),
        (leftover, "stuck"),
        (rewritten, "doubled"),
        (heard_of, "doubled"),
        (told_twice_differently, "doubled"),
        (told_wrongly, "doubled"),
        (from_nowhere, "doubled"),
        (enrolled_twice, "doubled"),
        (wrong_end, "wrong"),
    ],
)
def test_each_fault_is_found_in_its_column(spoil: Callable[[Ledger], None], column: str) -> None:
    ledger = clean()
    spoil(ledger)
    found = account(ledger)
    counts = {name: getattr(found, name) for name in ("lost", "stuck", "doubled", "wrong")}
    assert counts == {**dict.fromkeys(counts, 0), column: 1}
    assert len(found.problems) == 1
    assert not found.clean
