"""Jobs that enrol a face, or verify whose it is."""

import pytest

from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import (
    JobKind,
    JobParams,
    JobRequest,
    QualityFilter,
)
from faces.contracts.results import JobResult
from tests.fixtures.worker_bench import Bench
from tests.fixtures.worker_fakes import (
    detection,
    unit,
)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def code(result: JobResult) -> ErrorCode:
    assert result.state == "failed"
    assert result.error is not None
    return result.error.code


def test_enrols_a_new_person(bench: Bench) -> None:
    bench.detector.found = [detection(100, 100)]
    result = bench.ask(JobKind.ENROLL, person_name="Ann")
    assert result.enrolment is not None
    assert result.enrolment.name == "Ann"
    assert len(result.faces) == 1
    assert len(bench.gallery.people[result.enrolment.person_id][1]) == 1


def test_an_enrolment_is_refused_with_what_was_seen(bench: Bench) -> None:
    bench.detector.found = [detection(10, 10), detection(200, 100)]
    several = bench.ask(JobKind.ENROLL, person_name="Ann")
    assert code(several) is ErrorCode.SEVERAL_FACES
    assert len(several.faces) == 2
    bench.detector.found = [detection(100, 100, confidence=0.92)]
    poor = bench.ask(JobKind.ENROLL, person_name="Ann")
    assert code(poor) is ErrorCode.POOR_FACE
    assert poor.error is not None
    assert "LOW_CONFIDENCE" in poor.error.message
    assert bench.gallery.people == {}


def test_a_small_bystander_does_not_prevent_an_enrolment(bench: Bench) -> None:
    bench.detector.found = [detection(100, 50, 200), detection(10, 10, 40)]
    assert bench.ask(JobKind.ENROLL, person_name="Ann").state == "succeeded"


def test_force_enrols_the_central_face(bench: Bench) -> None:
    bench.detector.found = [detection(0, 0, 110, 0.92), detection(150, 100, 100, 0.92)]
    result = bench.ask(JobKind.ENROLL, person_name="Ann", force=True)
    assert result.enrolment is not None
    [face] = result.faces
    assert face.box.left == 150
    [guard] = bench.gallery.guards
    assert guard is not None
    assert guard.force
    assert guard.concerns == (ErrorCode.SEVERAL_FACES, ErrorCode.POOR_FACE)


@pytest.mark.parametrize(
    "asked",
    [
        JobRequest(collection="new"),
        JobRequest(collection="new", kind=JobKind.ENROLL, params=JobParams(person_name="Ann")),
    ],
)
def test_a_collection_begins_with_its_first_photo(bench: Bench, asked: JobRequest) -> None:
    bench.detector.found = [detection(100, 100)]
    assert bench.run(bench.submit(asked)).state == "succeeded"
    assert "new" in bench.gallery.collections
    assert len(bench.gallery.unmatched) + len(bench.gallery.people) == 1


def test_errors_of_the_gallery_end_the_job(bench: Bench) -> None:
    bench.detector.found = [detection(100, 100)]
    assert code(bench.ask(JobKind.ENROLL, person_id="nobody")) is ErrorCode.UNKNOWN_PERSON
    assert code(bench.ask(JobKind.VERIFY, person_id="nobody")) is ErrorCode.UNKNOWN_PERSON
    assert code(bench.ask(JobKind.VERIFY, req_id="never")) is ErrorCode.UNKNOWN_REQ_ID
    bench.gallery.people["empty"] = ("Ann", [])
    assert code(bench.ask(JobKind.VERIFY, person_id="empty")) is ErrorCode.UNKNOWN_FACE


def test_verifies_against_the_mean_face_of_a_person(bench: Bench) -> None:
    bench.detector.found = [detection(100, 100)]
    enrolled = bench.ask(JobKind.ENROLL, person_name="Ann").enrolment
    assert enrolled is not None
    bench.gallery.people[enrolled.person_id][1].append(unit(5))
    same = bench.ask(JobKind.VERIFY, person_id=enrolled.person_id).verification
    assert same is not None
    assert same.same_person
    # Two faces at right angles: their mean lies half-way.
    assert same.similarity == pytest.approx(0.5**0.5, abs=0.05)
    bench.gallery.people["other"] = ("Bob", [unit(5)])
    other = bench.ask(JobKind.VERIFY, person_id="other").verification
    assert other is not None
    assert not other.same_person
    assert other.threshold == 0.6


def test_verifies_against_an_unknown_face(bench: Bench) -> None:
    bench.detector.found = [detection(100, 100)]
    req_id = bench.ask().faces[0].req_id
    verification = bench.ask(JobKind.VERIFY, req_id=req_id).verification
    assert verification is not None
    assert verification.same_person


def test_verify_takes_the_central_face_and_heeds_the_filter(bench: Bench) -> None:
    bench.gallery.people["p"] = ("Ann", [unit(5)])
    bench.detector.found = [detection(0, 0, 110), detection(150, 100, 100)]
    [face] = bench.ask(JobKind.VERIFY, person_id="p").faces
    assert face.box.left == 150
    bench.detector.found = [detection(100, 100, 30)]
    refused = bench.ask(JobKind.VERIFY, person_id="p", quality_filter=QualityFilter.HIGH)
    assert code(refused) is ErrorCode.POOR_FACE
    assert bench.ask(JobKind.VERIFY, person_id="p").state == "succeeded"
