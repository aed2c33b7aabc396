"""Whether an answer may be repeated: versions of collections, second ids of unknown faces."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from faces.contracts.ids import new_id
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson, PersonUpdate
from tests.fixtures.gallery import HERE, MODEL, NOW, enroll, unmatched, vector

LATER = NOW + timedelta(minutes=20)


@pytest.fixture
def gallery(database_url: str) -> Gallery:
    return Gallery(KeptConnection(database_url), lambda: NOW)


def version(gallery: Gallery) -> str:
    return gallery.collection_version(**HERE)


def set_threshold(gallery: Gallery, database_url: str) -> None:
    with KeptConnection(database_url)() as connection:
        connection.execute("""UPDATE collections SET settings = '{"threshold": 0.5}'""")


CHANGES: dict[str, Callable[[Gallery, str], object]] = {
    "a face more": lambda gallery, person: enroll(gallery, person, vector(2)),
    "a person more": lambda gallery, _: enroll(gallery, NewPerson(name="Bo"), vector(3)),
    "another name": lambda gallery, person: gallery.update_person(
        **HERE, person_id=person, update=PersonUpdate(name="Anna")
    ),
    "a person less": lambda gallery, person: gallery.delete_person(**HERE, person_id=person),
    "a face less": lambda gallery, person: gallery.delete_face(
        **HERE, face_id=gallery.list_faces(**HERE, person_id=person)[0].face_id
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_makes_another_version(gallery: Gallery, change: str) -> None:
    person = enroll(gallery, NewPerson(name="Ann"), vector(1)).person_id
    before = version(gallery)
    assert version(gallery) == before
    CHANGES[change](gallery, person)
    assert version(gallery) != before


def test_other_settings_make_another_version(gallery: Gallery, database_url: str) -> None:
    before = version(gallery)
    set_threshold(gallery, database_url)
    after = version(gallery)
    assert after != before
    set_threshold(gallery, database_url)
    assert version(gallery) == after, "nothing changed"


def test_another_collection_is_left_alone(gallery: Gallery) -> None:
    gallery.ensure_collection("default", "other")
    before = gallery.collection_version("default", "other")
    enroll(gallery, NewPerson(name="Ann"), vector(1))
    assert gallery.collection_version("default", "other") == before


def test_a_collection_made_again_is_another(gallery: Gallery) -> None:
    assert gallery.collection_version("default", "other") == "none"
    gallery.ensure_collection("default", "other")
    first = gallery.collection_version("default", "other")
    gallery.delete_collection("default", "other")
    gallery.ensure_collection("default", "other")
    assert gallery.collection_version("default", "other") not in (first, "none")


def test_pruning_the_feed_never_brings_a_version_back(gallery: Gallery) -> None:
    person = enroll(gallery, NewPerson(name="Ann"), vector(1)).person_id
    seen = [version(gallery)]
    gallery.delete_person(**HERE, person_id=person)
    seen.append(version(gallery))
    gallery.purge_expired(NOW + timedelta(days=3650))
    enroll(gallery, NewPerson(name="Ann"), vector(1))
    seen.append(version(gallery))
    assert len(set(seen)) == 3


def test_an_unknown_face_gets_a_second_id(gallery: Gallery) -> None:
    known = unmatched(vector(1))
    gallery.remember_unmatched([known])
    second, job = new_id(), new_id()
    for _ in range(2):  # a message may come twice
        assert gallery.renew_unmatched({known.req_id: second}, job_id=job, expires_at=LATER)
    enrolled = gallery.enroll_unmatched(**HERE, req_id=second, person=NewPerson(name="Ann"))
    assert gallery.search(**HERE, embedding=vector(1), k=1, model_tag=MODEL)[0].person_id == (
        enrolled.person_id
    )
    assert gallery.forget_job("default", known.job_id) == 1


def test_what_is_no_longer_kept_gets_none(gallery: Gallery) -> None:
    here, expired = unmatched(vector(1)), unmatched(vector(2), expires_at=NOW)
    gallery.remember_unmatched([here, expired])
    renewed = {here.req_id: new_id(), expired.req_id: new_id()}
    job = new_id()
    assert not gallery.renew_unmatched(renewed, job_id=job, expires_at=LATER)
    assert gallery.forget_job("default", job) == 0, "not even the one that is there"
    assert gallery.forget_job("default", here.job_id) == 1
