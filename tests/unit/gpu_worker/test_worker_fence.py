"""Results behind the fence: only who is there, by the present name."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from chalice_app.dependencies import S3_CLIENT
from faces.contracts.errors import ErrorCode, FacesError, TransientError
from faces.contracts.results import (
    Box,
    Candidate,
    DetectedFace,
    Enrolment,
    FaceQuality,
    JobResult,
    Landmarks,
    Match,
    Point,
    Pose,
    Verification,
)
from faces.gallery.holding import HOLD_SECONDS
from gpu_worker.fence import FencedResults, Owners, corrected, faces_named
from gpu_worker.publish import PUBLISHING
from tests.fixtures.worker_fakes import FakeResults

NOW = datetime(2026, 1, 2, tzinfo=UTC)
POINT = Point(x=1, y=1)
OWNERS = {"f1": ("p1", "Ann"), "f2": ("p2", "Bob"), "f3": ("p3", "Cid")}


def candidate(number: int) -> Candidate:
    return Candidate(
        person_id=f"p{number}",
        name={1: "Ann", 2: "Bob", 3: "Cid"}[number],
        similarity=0.9 - number / 10,
        face_id=f"f{number}",
    )


def result(match: int | None, *candidates: int) -> JobResult:
    face = DetectedFace(
        box=Box(left=0, top=0, right=9, bottom=9),
        landmarks=Landmarks(
            left_eye=POINT, right_eye=POINT, nose=POINT, mouth_left=POINT, mouth_right=POINT
        ),
        confidence=1,
        quality=FaceQuality(
            sharpness=50, brightness=50, pose=Pose(roll=0, yaw=0, pitch=0), size_px=9
        ),
        match=Match(**candidate(match).model_dump(), threshold=0.5) if match else None,
        candidates=tuple(candidate(number) for number in candidates),
    )
    return JobResult(
        job_id="j",
        kind="identify",
        tenant="default",
        collection="default",
        state="succeeded",
        faces=(face,),
        code_version="test",
        submitted_at=NOW,
        finished_at=NOW,
    )


def without(*faces: str) -> Owners:
    return {face: owner for face, owner in OWNERS.items() if face not in faces}


def test_a_result_that_still_holds_stays_as_it_is() -> None:
    made = result(1, 2, 3)
    assert corrected(made, OWNERS) is made
    assert faces_named(made) == {"f1", "f2", "f3"}


def test_who_is_gone_is_not_named() -> None:
    [face] = corrected(result(1, 2, 3), without("f1", "f3")).faces
    assert face.match is None
    assert [one.person_id for one in face.candidates] == ["p2"]


def test_a_face_that_went_to_another_person_is_that_persons() -> None:
    [face] = corrected(result(1, 2, 3), {**OWNERS, "f1": ("p2", "Bobby")}).faces
    assert face.match is not None
    assert (face.match.person_id, face.match.name) == ("p2", "Bobby")
    assert [one.person_id for one in face.candidates] == ["p3"]


class FakeHolder:
    """Holds what is there, and remembers while what."""

    def __init__(self, owners: Owners) -> None:
        self.owners = owners
        self.held: list[set[str]] = []
        self.forgotten: list[tuple[str, str]] = []
        self.holds = False

    @contextmanager
    def holding(self, faces: set[str]) -> Iterator[Owners]:
        self.held.append(faces)
        self.holds = True
        yield self.owners
        self.holds = False

    @contextmanager
    def holding_person(self, person_id: str) -> Iterator[bool]:
        self.holds = True
        yield person_id in {owner for owner, _ in self.owners.values()}
        self.holds = False

    def forget_job(self, tenant: str, job_id: str) -> int:
        self.forgotten.append((tenant, job_id))
        return 1


def test_a_result_is_written_while_what_it_names_is_held() -> None:
    holder = FakeHolder(without("f1"))
    seen: list[bool] = []
    inner = FakeResults(before_store=lambda: seen.append(holder.holds))
    stored = FencedResults(inner, lambda: holder).store(result(1, 2))
    assert (seen, holder.held) == ([True], [{"f1", "f2"}])
    assert inner.written["j"] == stored
    assert stored.faces[0].match is None


def test_nothing_is_held_for_a_result_that_names_nobody() -> None:
    inner, holder = FakeResults(), FakeHolder({})
    fenced = FencedResults(inner, lambda: holder)
    fenced.store(result(None))
    assert (holder.held, fenced.stored("j")) == ([], inner.written["j"])


def test_no_more_connections_are_made_than_allowed() -> None:
    """Also where one result fails; and those that are there are used again."""
    made: list[FakeHolder] = []
    inside = threading.Barrier(2)

    def make() -> FakeHolder:
        made.append(FakeHolder(OWNERS))
        return made[-1]

    def store() -> None:
        inside.wait(20)

    fenced = FencedResults(FakeResults(before_store=store), make, most=2)
    with ThreadPoolExecutor(8) as pool:
        # Each waits for the one beside it, so that two are inside together.
        assert all(pool.map(lambda _: fenced.store(result(1)), range(8)))
    assert len(made) == 2

    def fail() -> None:
        raise TransientError("S3 is away")

    failing = FencedResults(FakeResults(before_store=fail), make, most=1)
    for _ in range(3):
        with pytest.raises(TransientError):
            failing.store(result(1))
    assert len(made) == 3


@pytest.mark.parametrize("person", ["p1", "gone"])
def test_a_comparison_with_who_is_gone_has_no_answer(person: str) -> None:
    compared = Verification(same_person=True, person_id=person, similarity=0.9, threshold=0.6)
    made = result(None).model_copy(update={"kind": "verify", "verification": compared})
    holder = FakeHolder(OWNERS)
    seen: list[bool] = []
    inner = FakeResults(before_store=lambda: seen.append(holder.holds))
    stored = FencedResults(inner, lambda: holder).store(made)
    assert seen == [True]
    if person == "p1":
        assert stored is made
    else:
        assert (stored.state, stored.verification) == ("failed", None)
        assert stored.error is not None
        assert stored.error.code is ErrorCode.UNKNOWN_PERSON


@pytest.mark.parametrize("owner", [("p1", "Ann"), ("p2", "Bob"), None])
def test_an_enrolment_tells_whose_the_face_is_by_now(owner: tuple[str, str] | None) -> None:
    enrolment = Enrolment(person_id="p1", face_id="f1", name="Ann")
    made = result(None).model_copy(update={"kind": "enroll", "enrolment": enrolment})
    holder = FakeHolder({} if owner is None else {"f1": owner})
    seen: list[bool] = []
    inner = FakeResults(before_store=lambda: seen.append(holder.holds))
    stored = FencedResults(inner, lambda: holder).store(made)
    assert (seen, holder.held) == ([True], [{"f1"}])
    if owner is None:
        assert (stored.state, stored.enrolment) == ("failed", None)
        assert stored.error is not None
        assert stored.error.code is ErrorCode.UNKNOWN_PERSON
    else:
        assert stored.enrolment is not None
        assert (stored.enrolment.person_id, stored.enrolment.name) == owner


@pytest.mark.parametrize("client", [PUBLISHING, S3_CLIENT])
def test_a_write_is_given_up_before_the_hold_ends(client: Any) -> None:
    tries = client.retries["total_max_attempts"]
    assert tries * (client.connect_timeout + client.read_timeout) < HOLD_SECONDS - 3


@pytest.mark.parametrize("code", [ErrorCode.JOB_DELETED, ErrorCode.WORKER_GAVE_UP])
def test_unknown_faces_of_a_job_that_was_deleted_meanwhile_go(code: ErrorCode) -> None:
    made = result(None)
    face = made.faces[0].model_copy(update={"req_id": "r1"})
    error = FacesError(code).info()
    before = made.model_copy(update={"state": "failed", "faces": (), "error": error})
    holder = FakeHolder({})
    fenced = FencedResults(FakeResults(written={"j": before}), lambda: holder)
    assert fenced.store(made.model_copy(update={"faces": (face,)})) is before
    assert holder.forgotten == ([("default", "j")] if code is ErrorCode.JOB_DELETED else [])
