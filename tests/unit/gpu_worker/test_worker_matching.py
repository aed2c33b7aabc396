"""Who it is, and who is named beside."""

from gpu_worker.index import Hit
from gpu_worker.matching import decide

HITS = [Hit("p1", "f1", 0.8), Hit("p2", "f2", 0.65), Hit("p3", "f3", 0.1)]
NAMES = {"p1": "Ann", "p2": "Bob", "p3": "Cid"}


def test_a_match_is_not_its_own_candidate() -> None:
    match, candidates = decide(HITS, NAMES, 0.7, 3)
    assert match is not None
    assert (match.name, match.similarity, match.threshold) == ("Ann", 0.8, 0.7)
    assert [candidate.name for candidate in candidates] == ["Bob", "Cid"]


def test_the_threshold_itself_matches() -> None:
    assert decide(HITS, NAMES, 0.8, 0)[0] is not None
    assert decide(HITS, NAMES, 0.8001, 0)[0] is None


def test_rounding_never_makes_a_match() -> None:
    assert decide([Hit("p1", "f1", 0.69996)], NAMES, 0.7, 1)[0] is None


def test_without_a_match_the_best_are_candidates() -> None:
    match, candidates = decide(HITS, NAMES, 0.9, 2)
    assert match is None
    assert [candidate.person_id for candidate in candidates] == ["p1", "p2"]


def test_an_empty_gallery() -> None:
    assert decide([], {}, -1.0, 3) == (None, ())
