"""Each job and each req_id enrols once: recorded once, and never again after a deletion."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from faces.contracts.audit import AuditQuery
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from faces.gallery.audit import AuditLog
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from faces.gallery.maintenance import ENROLLED_KEPT
from faces.gallery.records import NewPerson
from tests.fixtures.gallery import HERE, enroll, unmatched, vector

ANN = NewPerson(name="Ann")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def connections(database_url: str) -> Iterator[KeptConnection]:
    made = KeptConnection(database_url)
    yield made
    made.close()


@pytest.fixture
def gallery(connections: KeptConnection) -> Gallery:
    return Gallery(connections, now)


@pytest.fixture
def log(connections: KeptConnection) -> AuditLog:
    return AuditLog(connections)


def actions(log: AuditLog) -> list[str]:
    return [entry.action for entry in log.page("default", AuditQuery()).entries]


def test_a_job_that_comes_again_is_recorded_once(gallery: Gallery, log: AuditLog) -> None:
    job_id = new_id()
    first = enroll(gallery, ANN, vector(1), job_id=job_id)
    assert enroll(gallery, ANN, vector(1), job_id=job_id) == first
    assert actions(log) == ["face.enrol", "person.create"]


@pytest.mark.parametrize("what", ["person", "face"])
def test_a_late_worker_does_not_bring_back_who_was_deleted(
    gallery: Gallery, log: AuditLog, what: str
) -> None:
    job_id = new_id()
    ann = enroll(gallery, ANN, vector(1), job_id=job_id)
    if what == "person":
        gallery.delete_person(**HERE, person_id=ann.person_id)
    else:
        gallery.delete_face(**HERE, face_id=ann.face_id)
    with pytest.raises(FacesError) as refused:
        enroll(gallery, ANN, vector(1), job_id=job_id)
    assert refused.value.code is ErrorCode.UNKNOWN_PERSON
    assert gallery.get_collection(**HERE).faces == 0
    assert actions(log) == [f"{what}.delete", "face.enrol", "person.create"]


def test_nor_does_it_bring_back_a_req_id_that_was_used(gallery: Gallery) -> None:
    face = unmatched(vector(1), expires_at=now() + timedelta(minutes=10))
    gallery.remember_unmatched([face])
    ann = gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ANN)
    gallery.delete_person(**HERE, person_id=ann.person_id)
    gallery.remember_unmatched([face])
    with pytest.raises(FacesError) as refused:
        gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ANN)
    assert refused.value.code is ErrorCode.UNKNOWN_REQ_ID


def test_what_was_enrolled_is_forgotten_when_no_message_can_come_again(
    gallery: Gallery, connections: KeptConnection
) -> None:
    def noted() -> int:
        with connections() as connection:
            row = connection.execute("SELECT count(*) FROM enrolled_once").fetchone()
        assert row is not None
        return int(row[0])

    enroll(gallery, ANN, vector(1))
    gallery.purge_expired(now() + ENROLLED_KEPT - timedelta(minutes=1))
    assert noted() == 1
    gallery.purge_expired(now() + ENROLLED_KEPT + timedelta(minutes=1))
    assert noted() == 0


def test_deleting_a_job_is_recorded(gallery: Gallery, log: AuditLog) -> None:
    face = unmatched(vector(1), expires_at=now() + timedelta(minutes=10))
    gallery.remember_unmatched([face])
    assert gallery.forget_job("default", face.job_id, actor="a key") == 1
    [entry] = log.page("default", AuditQuery()).entries
    assert (entry.action, entry.key_id, entry.target) == ("job.delete", "a key", face.job_id)
    assert entry.counts == {"unmatched_faces": 1}
