"""Who it is, who is named beside, and what the numbers beside say."""

import pytest
from pydantic import BaseModel, ValidationError

from faces.contracts.collections import CollectionSettings
from faces.contracts.jobs import JobParams
from gpu_worker.calibration import Calibration
from gpu_worker.index import Hit
from gpu_worker.matching import Decisions, limit
from tests.fixtures.worker_fakes import CALIBRATION, DECISIONS

HITS = [Hit("p1", "f1", 0.8), Hit("p2", "f2", 0.65), Hit("p3", "f3", 0.1)]
NAMES = {"p1": "Ann", "p2": "Bob", "p3": "Cid"}


def test_a_match_is_not_its_own_candidate() -> None:
    match, candidates = DECISIONS.identify(HITS, NAMES, None, 3, faces=3)
    assert match is not None
    assert (match.name, match.similarity, match.threshold) == ("Ann", 0.8, 0.6)
    assert match.false_accept_rate == 0.01
    assert [candidate.name for candidate in candidates] == ["Bob", "Cid"]


def test_the_threshold_itself_matches() -> None:
    assert DECISIONS.identify([Hit("p1", "f1", 0.6)], NAMES, None, 0, faces=1)[0] is not None


def test_rounding_never_makes_a_match() -> None:
    match, candidates = DECISIONS.identify([Hit("p1", "f1", 0.59996)], NAMES, None, 1, faces=1)
    assert match is None
    assert [candidate.person_id for candidate in candidates] == ["p1"]


def test_the_rate_of_the_job_counts() -> None:
    weak = [Hit("p1", "f1", 0.2)]
    assert DECISIONS.identify(weak, NAMES, 0.5, 0, faces=1)[0] is not None
    assert DECISIONS.identify(weak, NAMES, 0.01, 0, faces=1)[0] is None


def test_an_empty_gallery() -> None:
    assert DECISIONS.identify([], {}, None, 3, faces=0) == (None, ())


def test_the_nearest_people_share_the_probability() -> None:
    twins = [Hit("p1", "f1", 0.9), Hit("p2", "f2", 0.9)]
    match, (other,) = DECISIONS.identify(twins, NAMES, None, 3, faces=2)
    assert match is not None
    assert match.probability is not None
    assert match.probability == other.probability
    alone, _ = DECISIONS.identify(twins[:1], NAMES, None, 3, faces=2)
    assert alone is not None
    assert alone.probability is not None
    assert match.probability <= 0.5 < alone.probability


def test_verification_has_a_rate_of_its_own() -> None:
    decisions = Decisions(CALIBRATION, identify_rate=0.5, verify_rate=1e-6)
    strict = decisions.verify(0.5, None, faces=1)
    assert not strict.same_person
    assert (strict.threshold, strict.false_accept_rate) == (0.6, 1e-6)
    assert strict.probability == pytest.approx(0.8808, abs=1e-4)  # 1 / (1 + exp(-2))
    assert decisions.verify(0.5, 0.1, faces=1).same_person


def test_a_fixed_threshold_counts_instead_of_the_rate() -> None:
    match, _ = DECISIONS.identify(HITS[2:], NAMES, None, 0, faces=3, fixed=-1)
    assert match is not None
    assert (match.name, match.threshold, match.false_accept_rate) == ("Cid", -1, None)
    assert DECISIONS.identify(HITS, NAMES, None, 0, faces=3, fixed=0.81)[0] is None
    strict = DECISIONS.verify(0.8, None, faces=1, fixed=0.81)
    assert (strict.same_person, strict.threshold, strict.false_accept_rate) == (False, 0.81, None)


def test_the_job_comes_before_the_collection() -> None:
    nothing, rate, fixed = JobParams(), JobParams(false_accept_rate=0.1), JobParams(threshold=0.7)
    loose, strict = CollectionSettings(false_accept_rate=0.2), CollectionSettings(threshold=0.8)
    assert limit(nothing, CollectionSettings()) == (None, None)
    assert limit(nothing, loose) == (0.2, None)
    assert limit(nothing, strict) == (None, 0.8)
    for settings in (loose, strict, CollectionSettings()):
        assert limit(rate, settings) == (0.1, None)
        assert limit(fixed, settings) == (None, 0.7)


@pytest.mark.parametrize("model", [JobParams, CollectionSettings])
def test_a_rate_and_a_threshold_cannot_both_be_given(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="either false_accept_rate or threshold"):
        model.model_validate({"false_accept_rate": 0.1, "threshold": 0.5})


def test_a_person_of_many_faces_must_be_more_similar() -> None:
    stretched = CALIBRATION.data.model_copy(update={"stretch": (1.0, 1.1)})
    decisions = Decisions(Calibration(stretched), identify_rate=0.01, verify_rate=1e-6)
    for faces, threshold in ((1, 0.6), (2, 0.66), (3, 0.66)):
        match, _ = decisions.identify([Hit("p1", "f1", 0.67, faces)], NAMES, None, 0, faces=1)
        assert match is not None
        assert match.threshold == pytest.approx(threshold)
        assert decisions.verify(0.67, None, faces).threshold == pytest.approx(threshold)
    assert decisions.identify([Hit("p1", "f1", 0.65, 2)], NAMES, None, 0, faces=1)[0] is None
