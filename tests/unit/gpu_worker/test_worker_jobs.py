"""A job from message to result: identify and detect, every error, and running it again."""

from datetime import timedelta

import numpy as np
import pytest

from faces.contracts.collections import CollectionSettings, Retention
from faces.contracts.errors import ErrorCode, TransientError
from faces.contracts.ids import derived_id
from faces.contracts.jobs import (
    JobKind,
    JobParams,
    JobRequest,
    JobState,
    QualityFilter,
)
from faces.contracts.results import JobResult, PoorReason
from faces.gallery.vectors import Changes, GalleryFace
from gpu_worker.uploads import Upload
from tests.fixtures.photos import encoded
from tests.fixtures.worker_bench import Bench, noise
from tests.fixtures.worker_fakes import (
    MODEL,
    NOW,
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


def test_a_result_says_where_it_comes_from(bench: Bench) -> None:
    bench.detector.found = [detection(100, 100)]
    request = JobRequest(collection="staff", file_name="a.jpg", callback_url="https://example.org")
    message = bench.submit(request)
    result = bench.run(message)
    assert (result.kind, result.collection, result.file_name) == ("identify", "staff", "a.jpg")
    assert (result.worker_id, result.model, result.finished_at) == ("i-0", MODEL, NOW)
    assert result.submitted_at == NOW - timedelta(seconds=5)
    assert result.photo is not None
    assert (result.photo.width, result.photo.height) == (400, 300)
    assert set(result.timings_ms) == {"fetch", "decode", "detect", "embed", "match"}
    [done] = bench.announcer.announced
    assert (done.job_id, done.state) == (message.job_id, JobState.SUCCEEDED)
    assert done.callback_url == "https://example.org"
    assert done.submitted_at == result.submitted_at


@pytest.mark.parametrize("kind", [JobKind.IDENTIFY, JobKind.DETECT])
def test_a_photo_without_a_face_is_an_answer(bench: Bench, kind: JobKind) -> None:
    result = bench.ask(kind)
    assert result.state == "succeeded"
    assert result.faces == ()


@pytest.mark.parametrize(
    ("kind", "params"),
    [(JobKind.ENROLL, {"person_name": "Ann", "force": True}), (JobKind.VERIFY, {"person_id": "p"})],
)
def test_enrol_and_verify_need_a_face(
    bench: Bench, kind: JobKind, params: dict[str, object]
) -> None:
    assert code(bench.ask(kind, **params)) is ErrorCode.NO_FACE


def test_detect_neither_embeds_nor_matches(bench: Bench) -> None:
    bench.detector.found = [detection(10, 10, 60), detection(150, 100, 120)]
    result = bench.ask(JobKind.DETECT)
    assert [face.box.width for face in result.faces] == [120, 60]
    assert all(face.match is None and face.req_id is None for face in result.faces)
    assert bench.embedder.embedded == 0


def test_what_is_hardly_a_face_is_none(bench: Bench) -> None:
    bench.detector.found = [detection(10, 10, confidence=0.85), detection(900, 900)]
    assert bench.ask(JobKind.DETECT).faces == ()


def test_max_faces_keeps_the_largest(bench: Bench) -> None:
    bench.detector.found = [detection(10, 10, size) for size in (40, 90, 60)]
    for kind in (JobKind.DETECT, JobKind.IDENTIFY):
        assert [face.box.width for face in bench.ask(kind, max_faces=2).faces] == [90, 60]


def test_unknown_faces_are_remembered_before_the_result_exists(bench: Bench) -> None:
    bench.detector.found = [detection(10, 10, 60), detection(150, 100, 120)]
    message = bench.submit()
    ids = [derived_id(message.job_id, f"face-{number}") for number in range(2)]

    def check() -> None:
        assert set(bench.gallery.unmatched) == set(ids)

    bench.results.before_store = check
    result = bench.run(message)
    assert [face.req_id for face in result.faces] == ids
    for face in result.faces:
        assert face.req_id_expires_at == NOW + timedelta(seconds=600)
        assert face.req_id is not None
        kept = bench.gallery.unmatched[face.req_id]
        assert (kept.box, kept.quality, kept.model_tag) == (face.box, face.quality, MODEL.tag)
        assert kept.expires_at == face.req_id_expires_at


def know(bench: Bench, result: JobResult, *names: str) -> None:
    """Put the unknown faces of a result into the index under these names."""
    faces, vectors = [], []
    for number, (face, name) in enumerate(zip(result.faces, names, strict=True)):
        assert face.req_id is not None
        faces.append(GalleryFace(f"f{number}", f"p{number}", name, "default", "default"))
        vectors.append(bench.gallery.unmatched[face.req_id].embedding)
    update = Changes(1, faces, np.stack(vectors), frozenset(), {})
    bench.index._apply(update)


def test_known_faces_are_matched(bench: Bench) -> None:
    bench.detector.found = [detection(10, 10, 60), detection(150, 100, 120)]
    know(bench, bench.ask(), "Ann", "Bob")
    result = bench.ask(candidates=1)
    matches = [face.match for face in result.faces]
    assert [match.name for match in matches if match] == ["Ann", "Bob"]
    assert all(match and match.similarity == pytest.approx(1) for match in matches)
    assert all(face.req_id is None for face in result.faces)
    assert [[c.name for c in face.candidates] for face in result.faces] == [["Bob"], ["Ann"]]


def test_the_rate_of_the_job_counts(bench: Bench) -> None:
    bench.detector.found = [detection(10, 10, 60)]
    know(bench, bench.ask(), "Ann")
    bench.detector.found = [detection(200, 100, 60)]
    assert bench.ask().faces[0].match is None
    match = bench.ask(false_accept_rate=0.5).faces[0].match
    assert match is not None
    assert (match.name, match.threshold, match.false_accept_rate) == ("Ann", -1.0, 0.5)


def test_the_settings_of_the_collection_count_where_the_job_does_not_say(bench: Bench) -> None:
    bench.detector.found = [detection(100, 100)]
    stranger = bench.ask(JobKind.IDENTIFY).faces[0]
    assert stranger.req_id_expires_at == NOW + timedelta(minutes=10)
    bench.gallery.settings = CollectionSettings(
        threshold=-1, retention=Retention(unmatched_seconds=60)
    )
    know(bench, bench.ask(), "Ann")
    bench.detector.found = [detection(200, 100, 60)]
    assert bench.ask(JobKind.IDENTIFY).faces[0].match is not None
    own = bench.ask(JobKind.IDENTIFY, false_accept_rate=0.001).faces[0]
    assert own.match is None
    assert own.req_id_expires_at == NOW + timedelta(seconds=60)


def test_a_fixed_threshold_of_the_job_counts(bench: Bench) -> None:
    bench.detector.found = [detection(100, 100)]
    know(bench, bench.ask(), "Ann")
    bench.gallery.settings = CollectionSettings(false_accept_rate=0.5)
    bench.detector.found = [detection(200, 100, 60)]
    assert bench.ask(threshold=0.9).faces[0].match is None
    anyone = bench.ask(threshold=-1).faces[0].match
    assert anyone is not None
    assert (anyone.threshold, anyone.false_accept_rate) == (-1, None)
    bench.gallery.people["p"] = ("Bob", [unit(5)])
    verified = bench.ask(JobKind.VERIFY, person_id="p", threshold=-1).verification
    assert verified is not None
    assert verified.same_person
    assert verified.person_id == "p"


def test_the_threshold_of_a_collection_says_nothing_of_a_claimed_person(bench: Bench) -> None:
    bench.gallery.settings = CollectionSettings(threshold=-1)
    bench.detector.found = [detection(200, 100, 60)]
    bench.gallery.people["p"] = ("Bob", [unit(5)])
    verification = bench.ask(JobKind.VERIFY, person_id="p").verification
    assert verification is not None
    assert not verification.same_person


def test_filtered_faces_are_only_detected(bench: Bench) -> None:
    bench.detector.found = [detection(10, 10, 30), detection(150, 100, 120)]
    result = bench.ask(quality_filter=QualityFilter.MEDIUM)
    large, small = result.faces
    assert large.req_id is not None
    assert small.req_id is None
    assert small.quality.reasons == (PoorReason.SMALL_BOUNDING_BOX,)
    assert len(bench.gallery.unmatched) == 1


def test_a_photo_that_cannot_be_read_fails_with_its_code(bench: Bench) -> None:
    result = bench.run(bench.submit(photo=b"no photo"))
    assert code(result) is ErrorCode.NOT_AN_IMAGE
    assert result.photo is None
    [done] = bench.announcer.announced
    assert (done.state, done.error_code) == (JobState.FAILED, ErrorCode.NOT_AN_IMAGE)


def test_an_upload_that_is_gone_ends_the_job(bench: Bench) -> None:
    message = bench.submit()
    bench.uploads.stored.clear()
    assert code(bench.run(message)) is ErrorCode.UPLOAD_REJECTED


def test_an_upload_without_a_request_ends_for_its_tenant(bench: Bench) -> None:
    message = bench.uploads.put(encoded(noise()), {"tenant": "acme", "kind": "enroll"})
    result = bench.run(message)
    assert code(result) is ErrorCode.UPLOAD_REJECTED
    assert result.tenant == "acme"
    assert bench.detector.seen == 0


@pytest.mark.parametrize("kind", [JobKind.IDENTIFY, JobKind.ENROLL, JobKind.VERIFY])
def test_a_database_that_is_away_does_not_fail_the_job(bench: Bench, kind: JobKind) -> None:
    bench.detector.found = [detection(100, 100)]
    params = {
        JobKind.IDENTIFY: JobParams(),
        JobKind.ENROLL: JobParams(person_name="Ann"),
        JobKind.VERIFY: JobParams(person_id="p"),
    }[kind]
    message = bench.submit(JobRequest(kind=kind, params=params))
    bench.gallery.away = True
    with pytest.raises(TransientError):
        bench.run(message)
    assert bench.results.written == {}
    assert bench.announcer.announced == []


def test_a_store_that_is_away_does_not_fail_the_job(bench: Bench) -> None:
    message = bench.submit()
    bench.uploads.away = True
    with pytest.raises(TransientError):
        bench.run(message)
    broken = Upload(bench.uploads.stored[message.key].metadata, read=_breaks)
    bench.uploads.away = False
    bench.uploads.stored[message.key] = broken
    with pytest.raises(TransientError):
        bench.run(message)
    assert bench.results.written == {}


def _breaks() -> bytes:
    raise TransientError("the connection broke")


def test_running_again_after_any_crash_changes_nothing(bench: Bench) -> None:
    """Crash after the gallery's write, after the result, and after the announcement."""
    bench.detector.found = [detection(100, 100)]
    for request in (
        JobRequest(),
        JobRequest(kind=JobKind.ENROLL, params=JobParams(person_name="Ann")),
    ):
        message = bench.submit(request)

        def crash() -> None:
            raise KeyboardInterrupt

        bench.results.before_store = crash
        with pytest.raises(KeyboardInterrupt):
            bench.run(message)
        assert message.job_id not in bench.results.written

        bench.results.before_store = lambda: None
        bench.announcer.away = True
        with pytest.raises(TransientError):
            bench.run(message, redelivered=True)
        bench.announcer.away = False
        first = bench.results.written[message.job_id]
        seen = bench.detector.seen

        assert bench.run(message, redelivered=True) == first
        assert bench.run(message, redelivered=True) == first
        assert bench.detector.seen == seen, "a stored result is not worked out again"
    assert len(bench.gallery.people) == 1
    assert len(bench.gallery.unmatched) == 1


def test_the_stored_result_counts_when_two_workers_hold_a_job(bench: Bench) -> None:
    bench.detector.found = [detection(100, 100)]
    message = bench.submit()
    other = bench.run(message).model_copy(update={"worker_id": "i-other"})
    bench.results.written[message.job_id] = other
    assert bench.run(message) == other
    assert bench.announcer.announced[-1].finished_at == other.finished_at
