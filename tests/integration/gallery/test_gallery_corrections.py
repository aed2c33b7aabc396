"""People and faces are corrected, and a worker's copy follows each time."""

from collections.abc import Callable
from datetime import date

import pytest
from pydantic import ValidationError

from faces.contracts.errors import ErrorCode, FacesError, InvalidInput
from faces.contracts.ids import new_id
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson, PersonUpdate
from faces.gallery.vectors import Changes
from tests.fixtures.gallery import HERE, MODEL, enroll, unmatched, vector

ADA = NewPerson(name="Ada", birthdate=date(1815, 12, 10), email="ada@example.org")


def changes(gallery: Gallery, since: int) -> Changes:
    found = gallery.changes_since(since, MODEL)
    assert found is not None
    return found


def test_a_new_name_reaches_the_followers(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1))
    position = gallery.load(MODEL).position

    person = gallery.update_person(
        **HERE, person_id=ada.person_id, update=PersonUpdate(name="Ada Lovelace")
    )

    assert (person.name, person.email) == ("Ada Lovelace", "ada@example.org")
    told = changes(gallery, position)
    assert told.renamed == {ada.person_id: "Ada Lovelace"}
    assert not told.faces
    assert [face.name for face in gallery.load(MODEL).faces] == ["Ada Lovelace"]


def test_an_update_changes_what_it_names_and_empties_what_is_none(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1))
    position = gallery.load(MODEL).position
    update = PersonUpdate(email=None, external_id="7")

    person = gallery.update_person(**HERE, person_id=ada.person_id, update=update)

    assert (person.name, person.birthdate) == (ADA.name, ADA.birthdate)
    assert (person.email, person.external_id) == (None, "7")
    assert gallery.update_person(**HERE, person_id=ada.person_id, update=PersonUpdate()) == person
    assert changes(gallery, position).position == position  # no name changed


def test_an_update_cannot_take_anothers_email_or_an_empty_name(gallery: Gallery) -> None:
    enroll(gallery, ADA, vector(1))
    eve = enroll(gallery, NewPerson(name="Eve"), vector(2))
    with pytest.raises(FacesError) as error:
        gallery.update_person(
            **HERE, person_id=eve.person_id, update=PersonUpdate(email="ADA@example.org")
        )
    assert (error.value.code, error.value.field) == (ErrorCode.DUPLICATE_PERSON, "email")
    with pytest.raises(ValidationError):
        PersonUpdate(name="")


def test_merged_people_are_one(gallery: Gallery) -> None:
    keep = enroll(gallery, NewPerson(name="Ada L.", external_id="7"), vector(1))
    merge = enroll(gallery, ADA, vector(2))
    position = gallery.load(MODEL).position

    person = gallery.merge_people(**HERE, keep=keep.person_id, merge=merge.person_id)

    assert (person.person_id, person.name, person.faces) == (keep.person_id, "Ada L.", 2)
    assert (person.external_id, person.email, person.birthdate) == (
        "7",
        ADA.email,
        ADA.birthdate,
    )
    with pytest.raises(FacesError):
        gallery.get_person(**HERE, person_id=merge.person_id)
    told = changes(gallery, position)
    assert [(face.face_id, face.person_id, face.name) for face in told.faces] == [
        (merge.face_id, keep.person_id, "Ada L.")
    ]
    assert not told.removed
    (found,) = gallery.search(**HERE, embedding=vector(2), k=5, model_tag=MODEL)
    assert found.person_id == keep.person_id


def test_nobody_is_merged_with_themselves(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1))
    with pytest.raises(InvalidInput):
        gallery.merge_people(**HERE, keep=ada.person_id, merge=ada.person_id.upper())
    assert gallery.get_person(**HERE, person_id=ada.person_id).faces == 1


def test_a_moved_face_belongs_to_the_other_person(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1))
    wrong = enroll(gallery, ada.person_id, vector(2))
    eve = enroll(gallery, NewPerson(name="Eve"), vector(3))
    position = gallery.load(MODEL).position

    person = gallery.move_face(**HERE, face_id=wrong.face_id, person_id=eve.person_id)

    assert (person.person_id, person.faces) == (eve.person_id, 2)
    assert gallery.get_person(**HERE, person_id=ada.person_id).faces == 1
    (face,) = changes(gallery, position).faces
    assert (face.face_id, face.person_id, face.name) == (wrong.face_id, eve.person_id, "Eve")


def test_a_deleted_face_is_gone_and_its_person_stays(gallery: Gallery) -> None:
    ada = enroll(gallery, ADA, vector(1))
    position = gallery.load(MODEL).position

    gallery.delete_face(**HERE, face_id=ada.face_id)

    assert gallery.get_person(**HERE, person_id=ada.person_id).faces == 0
    assert changes(gallery, position).removed == {ada.face_id}
    with pytest.raises(FacesError) as error:
        gallery.delete_face(**HERE, face_id=ada.face_id)
    assert error.value.code is ErrorCode.UNKNOWN_FACE


def test_a_deleted_collection_takes_all_along(gallery: Gallery) -> None:
    gallery.ensure_collection("default", "staff")
    ada = enroll(gallery, ADA, vector(1), collection="staff")
    here = enroll(gallery, ADA, vector(2))
    stranger = unmatched(vector(3), collection="staff")
    gallery.remember_unmatched([stranger])
    position = gallery.load(MODEL).position
    listed = {each.collection: each.faces for each in gallery.list_collections("default")}
    assert listed == {"default": 1, "staff": 1}

    deleted = gallery.delete_collection("default", "staff")

    assert (deleted.faces, deleted.unmatched_faces, len(deleted.jobs)) == (1, 1, 2)
    assert stranger.job_id in deleted.jobs
    assert [each.collection for each in gallery.list_collections("default")] == ["default"]
    assert changes(gallery, position).removed == {ada.face_id}
    assert [face.face_id for face in gallery.load(MODEL).faces] == [here.face_id]
    with pytest.raises(FacesError) as error:
        gallery.delete_collection("default", "staff")
    assert error.value.code is ErrorCode.UNKNOWN_COLLECTION


def test_the_default_collection_stays(gallery: Gallery) -> None:
    with pytest.raises(InvalidInput):
        gallery.delete_collection("default", "default")


def test_tenants_without_collections(gallery: Gallery) -> None:
    assert gallery.list_collections("nobody") == []
    assert gallery.list_collections("\x00") == []


def test_ids_that_mean_nothing_here(gallery: Gallery) -> None:
    gallery.ensure_collection("other", "default")
    foreign = enroll(gallery, ADA, vector(1), tenant="other")
    ada = enroll(gallery, ADA, vector(2))
    person, face = ErrorCode.UNKNOWN_PERSON, ErrorCode.UNKNOWN_FACE
    attempts: list[tuple[ErrorCode, Callable[[str, str], object]]] = [
        (person, lambda who, _: gallery.update_person(**HERE, person_id=who, update=RENAME)),
        (person, lambda who, _: gallery.merge_people(**HERE, keep=ada.person_id, merge=who)),
        (person, lambda who, _: gallery.merge_people(**HERE, keep=who, merge=ada.person_id)),
        (
            person,
            lambda who, _: gallery.move_face(**HERE, face_id=ada.face_id, person_id=who),
        ),
        (
            face,
            lambda _, what: gallery.move_face(**HERE, face_id=what, person_id=ada.person_id),
        ),
        (face, lambda _, what: gallery.delete_face(**HERE, face_id=what)),
    ]
    for who, what in [
        (foreign.person_id, foreign.face_id),
        (new_id(), new_id()),
        ("' OR true --", "\x00"),
    ]:
        for expected, attempt in attempts:
            with pytest.raises(FacesError) as error:
                attempt(who, what)
            assert error.value.code is expected
    assert gallery.get_person("other", "default", foreign.person_id).name == "Ada"
    assert gallery.get_person(**HERE, person_id=ada.person_id).faces == 1


RENAME = PersonUpdate(name="somebody else")
