"""Enrolment by photo and by req_id, and who is found afterwards."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from faces.contracts.results import Enrolment
from faces.gallery.database import KeptConnection
from faces.gallery.enrolment import Guard
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from tests.fixtures.gallery import HERE, MODEL, NOW, QUALITY, enroll, unmatched, vector

ADA = NewPerson(name="Ada", birthdate=date(1815, 12, 10), email="Ada@example.org", external_id="7")
# Fixed, because it names tests.
UNKNOWN = "01a1fe3f-4440-7283-9f9d-42adac281cfc"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gallery(database_url: str, clock: Clock) -> Iterator[Gallery]:
    connections = KeptConnection(database_url)
    yield Gallery(connections, clock)
    connections.close()


def found(gallery: Gallery, seed: int) -> list[tuple[str, str]]:
    """Names and face ids of the people near a vector, best first."""
    near = gallery.search(**HERE, embedding=vector(seed), k=5, model_tag=MODEL)
    return [(each.name, each.face_id) for each in near]


def code_of(error: pytest.ExceptionInfo[FacesError]) -> ErrorCode:
    return error.value.code


def test_an_enrolled_face_is_found(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1))
    grace = enroll(gallery, NewPerson(name="Grace"), vector(2))

    best, other = gallery.search(**HERE, embedding=vector(10, near=2), k=5, model_tag=MODEL)

    assert (best.person_id, best.name, best.face_id) == (grace.person_id, "Grace", grace.face_id)
    assert best.similarity == pytest.approx(float(vector(10, near=2) @ vector(2)), abs=2e-3)
    assert other.person_id == ada.person_id
    assert other.similarity == pytest.approx(float(vector(10, near=2) @ vector(1)), abs=2e-3)


def test_a_person_counts_once_with_the_nearest_face(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1))
    second = enroll(gallery, ada.person_id, vector(2))
    enroll(gallery, NewPerson(name="Grace"), vector(3))

    assert found(gallery, 2)[0] == ("Ada", second.face_id)
    assert len(found(gallery, 2)) == 2
    assert len(gallery.search(**HERE, embedding=vector(2), k=1, model_tag=MODEL)) == 1
    assert gallery.person_embeddings(**HERE, person_id=ada.person_id, model_tag=MODEL).shape == (
        2,
        512,
    )


def test_only_vectors_of_the_same_model_are_compared(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1), model_tag="another/1")
    assert found(gallery, 1) == []
    assert gallery.load(MODEL).faces == []
    assert gallery.person_embeddings(**HERE, person_id=ada.person_id, model_tag=MODEL).size == 0


def test_a_job_enrols_once(gallery: Gallery) -> None:
    job_id = new_id()
    first = enroll(gallery, ADA, vector(1), job_id=job_id)
    assert enroll(gallery, ADA, vector(1), job_id=job_id) == first
    assert gallery.get_person(**HERE, person_id=first.person_id).faces == 1


def test_a_job_delivered_to_many_workers_at_once_enrols_once(
    gallery: Gallery, database_url: str
) -> None:
    job_id = new_id()

    def deliver(_: int) -> Enrolment:
        connections = KeptConnection(database_url)
        try:
            return enroll(Gallery(connections), ADA, vector(1), job_id=job_id)
        finally:
            connections.close()

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(deliver, range(5)))
    assert len(set(answers)) == 1
    assert len(gallery.list_people(**HERE).people) == 1


def test_an_unknown_face_is_enrolled_by_its_req_id(gallery: Gallery) -> None:
    face = unmatched(vector(1))
    gallery.remember_unmatched([face])

    enrolled = gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ADA)

    assert found(gallery, 1) == [("Ada", enrolled.face_id)]
    person = gallery.get_person(**HERE, person_id=enrolled.person_id)
    assert person.model_dump(include=set(NewPerson.model_fields)) == ADA.model_dump()
    (stored,) = gallery.list_faces(**HERE, person_id=enrolled.person_id)
    assert (stored.quality, stored.model_tag) == (QUALITY, MODEL)


def test_an_unknown_face_is_added_to_a_person(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1))
    face = unmatched(vector(2))
    gallery.remember_unmatched([face])

    added = gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ada.person_id.upper())

    assert (added.person_id, added.name) == (ada.person_id, "Ada")
    assert gallery.get_person(**HERE, person_id=ada.person_id).faces == 2


def test_a_req_id_is_used_once(gallery: Gallery) -> None:
    face = unmatched(vector(1))
    gallery.remember_unmatched([face])
    ada = gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ADA)
    with pytest.raises(FacesError) as error:
        gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ADA)
    assert code_of(error) is ErrorCode.UNKNOWN_REQ_ID

    # Nor does the photo's message, delivered again, bring it back.
    gallery.remember_unmatched([face])
    with pytest.raises(FacesError) as error:
        gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ada.person_id)
    assert code_of(error) is ErrorCode.UNKNOWN_REQ_ID


def test_a_req_id_used_by_many_at_once_makes_one_person(
    gallery: Gallery, database_url: str
) -> None:
    face = unmatched(vector(1))
    gallery.remember_unmatched([face])

    def use(number: int) -> str:
        connections = KeptConnection(database_url)
        try:
            person = NewPerson(name=f"Ada {number}")
            Gallery(connections, Clock()).enroll_unmatched(
                **HERE, req_id=face.req_id, person=person
            )
        except FacesError as error:
            return error.code
        finally:
            connections.close()
        return "enrolled"

    with ThreadPoolExecutor(5) as pool:
        answers = sorted(pool.map(use, range(5)))
    assert answers == ["enrolled"] + 4 * ["unknown_req_id"]
    assert len(gallery.list_people(**HERE).people) == 1


def test_a_req_id_expires(gallery: Gallery, clock: Clock) -> None:
    face = unmatched(vector(1), expires_at=NOW + timedelta(seconds=600))
    gallery.remember_unmatched([face])
    clock.now = NOW + timedelta(seconds=599)
    kept = gallery.unmatched_embedding(**HERE, req_id=face.req_id, model_tag=MODEL)
    assert kept @ vector(1) == pytest.approx(1, abs=1e-5)

    clock.now = NOW + timedelta(seconds=600)

    with pytest.raises(FacesError) as error:
        gallery.unmatched_embedding(**HERE, req_id=face.req_id, model_tag=MODEL)
    assert code_of(error) is ErrorCode.UNKNOWN_REQ_ID
    with pytest.raises(FacesError) as error:
        gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ADA)
    assert code_of(error) is ErrorCode.UNKNOWN_REQ_ID


def test_remembering_again_changes_nothing(gallery: Gallery) -> None:
    first = unmatched(vector(1))
    gallery.remember_unmatched([first])
    gallery.remember_unmatched([unmatched(vector(2), req_id=first.req_id), unmatched(vector(3))])
    kept = gallery.unmatched_embedding(**HERE, req_id=first.req_id, model_tag=MODEL)
    assert kept @ vector(1) == pytest.approx(1, abs=1e-5)


def test_purging_deletes_what_has_expired_and_nothing_else(gallery: Gallery) -> None:
    old = unmatched(vector(1), expires_at=NOW)
    new = unmatched(vector(2), expires_at=NOW + timedelta(seconds=1))
    gallery.remember_unmatched([old, new])
    assert gallery.purge_expired(NOW).unmatched_faces == 1
    gallery.unmatched_embedding(**HERE, req_id=new.req_id, model_tag=MODEL)


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (NewPerson(name="Eve", email="aDA@example.org"), "email"),
        (NewPerson(name="Eve", external_id="7"), "external_id"),
    ],
)
def test_a_duplicate_is_refused_and_the_req_id_stays(
    gallery: Gallery, other: NewPerson, field: str
) -> None:
    ada = enroll(gallery, ADA, vector(1))
    face = unmatched(vector(2))
    gallery.remember_unmatched([face])

    with pytest.raises(FacesError) as error:
        gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=other)

    assert (code_of(error), error.value.field) == (ErrorCode.DUPLICATE_PERSON, field)
    with pytest.raises(FacesError) as error:
        enroll(gallery, other, vector(3))
    assert code_of(error) is ErrorCode.DUPLICATE_PERSON
    gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ada.person_id)


def test_people_of_one_name_are_allowed(gallery: Gallery) -> None:
    first = enroll(gallery, NewPerson(name="Ada"), vector(1))
    second = enroll(gallery, NewPerson(name="Ada"), vector(2))
    assert first.person_id != second.person_id


@pytest.mark.parametrize("person_id", [UNKNOWN, "", "nobody", "\x00", "' OR true --", "\ud800"])
def test_unknown_people(gallery: Gallery, person_id: str) -> None:
    face = unmatched(vector(1))
    gallery.remember_unmatched([face])
    with pytest.raises(FacesError) as error:
        gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=person_id)
    assert code_of(error) is ErrorCode.UNKNOWN_PERSON
    with pytest.raises(FacesError) as error:
        enroll(gallery, person_id, vector(1))
    assert code_of(error) is ErrorCode.UNKNOWN_PERSON
    gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=ADA)


@pytest.mark.parametrize("req_id", [UNKNOWN, "", "' OR true --", "\x00"])
def test_unknown_req_ids(gallery: Gallery, req_id: str) -> None:
    with pytest.raises(FacesError) as error:
        gallery.enroll_unmatched(**HERE, req_id=req_id, person=ADA)
    assert code_of(error) is ErrorCode.UNKNOWN_REQ_ID
    assert gallery.list_people(**HERE).people == ()


@pytest.mark.parametrize("collection", ["no-such", "", "\x00", "default'; DROP TABLE faces; --"])
def test_unknown_collections(gallery: Gallery, collection: str) -> None:
    face = unmatched(vector(1), collection=collection)
    with pytest.raises(FacesError) as error:
        gallery.remember_unmatched([unmatched(vector(2)), face])
    assert code_of(error) is ErrorCode.UNKNOWN_COLLECTION
    with pytest.raises(FacesError) as error:
        gallery.search("default", collection, vector(1), 1, MODEL)
    assert code_of(error) is ErrorCode.UNKNOWN_COLLECTION
    with pytest.raises(FacesError) as error:
        gallery.list_people(collection, "default")
    assert code_of(error) is ErrorCode.UNKNOWN_COLLECTION


def test_a_vector_that_is_none_stores_nothing(gallery: Gallery) -> None:
    with pytest.raises(ValueError, match="unit length"):
        enroll(gallery, ADA, 0 * vector(1))
    with pytest.raises(ValueError, match="unit length"):
        gallery.remember_unmatched([unmatched(vector(1)), unmatched(0 * vector(1))])
    assert gallery.list_people(**HERE).people == ()


def test_many_own_faces_hide_nobody_whom_the_face_is_like(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1))
    for number in range(20):
        enroll(gallery, ada.person_id, vector(100 + number, near=1))
    twin = 0.7 * vector(1) + 0.71 * vector(2)
    enroll(gallery, NewPerson(name="Twin"), twin / np.linalg.norm(twin))
    face = unmatched(vector(1))
    gallery.remember_unmatched([face])
    with pytest.raises(FacesError) as error:
        gallery.enroll_unmatched(
            **HERE, req_id=face.req_id, person=ada.person_id, guard=Guard(threshold=0.65)
        )
    assert code_of(error) is ErrorCode.DUPLICATE_FACE
    done = gallery.enroll_unmatched(
        **HERE, req_id=face.req_id, person=ada.person_id, guard=Guard(threshold=0.65, force=True)
    )
    assert done.warnings == (ErrorCode.DUPLICATE_FACE, ErrorCode.LOOKS_LIKE_ANOTHER)
