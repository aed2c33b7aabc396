"""Lines of the table that other tests write come back as they were."""

from collections import Counter
from pathlib import Path

from tests.chaos.accounting import SUCCEEDED, Ledger, account
from tests.chaos.play import Outcome
from tests.chaos.rows import WHERE, keep, kept


def test_lines_are_kept_in_order(tmp_path: Path) -> None:
    good = Ledger({"a": SUCCEEDED}, results={"a": SUCCEEDED}, told={"a": Counter([SUCCEEDED])})
    bad = Ledger({"a": SUCCEEDED, "b": SUCCEEDED}, results={"a": SUCCEEDED})
    outcomes = [
        Outcome("good", account(good), 3.0, 1.0, ()),
        Outcome("bad", account(bad), 4.0, 2.0, ("that it broke",)),
    ]
    for outcome in outcomes:
        keep(outcome, {WHERE: str(tmp_path)})
        keep(outcome, {})
    assert kept(tmp_path) == outcomes
    assert [each.good for each in kept(tmp_path)] == [True, False]
