"""What belongs to another tenant or collection is as unknown as what never was."""

from collections.abc import Callable

import pytest

from faces.contracts.errors import ErrorCode, FacesError, InvalidInput
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from tests.fixtures.gallery import HERE, MODEL, Place, enroll, unmatched, vector

ADA = NewPerson(name="Ada", email="ada@example.org", external_id="7")
OTHERS = [("other-tenant", "default"), ("default", "other-collection")]


@pytest.fixture(params=OTHERS, ids=[" ".join(place) for place in OTHERS])
def there(request: pytest.FixtureRequest, gallery: Gallery) -> Place:
    tenant, collection = request.param
    gallery.ensure_collection(tenant, collection)
    gallery.ensure_collection(tenant, collection)
    return Place(tenant=tenant, collection=collection)


def test_ids_mean_nothing_elsewhere(gallery: Gallery, there: Place) -> None:
    ada = enroll(gallery, ADA, vector(1))
    face = unmatched(vector(2))
    gallery.remember_unmatched([face])
    foreign = unmatched(vector(3), **there)
    gallery.remember_unmatched([foreign])

    person, req = ErrorCode.UNKNOWN_PERSON, ErrorCode.UNKNOWN_REQ_ID
    attempts: list[tuple[ErrorCode, Callable[[], object]]] = [
        (person, lambda: gallery.get_person(**there, person_id=ada.person_id)),
        (person, lambda: gallery.list_faces(**there, person_id=ada.person_id)),
        (person, lambda: gallery.delete_person(**there, person_id=ada.person_id)),
        (
            person,
            lambda: gallery.person_embeddings(**there, person_id=ada.person_id, model_tag=MODEL),
        ),
        (person, lambda: enroll(gallery, ada.person_id, vector(4), **there)),
        (
            person,
            lambda: gallery.enroll_unmatched(**there, req_id=foreign.req_id, person=ada.person_id),
        ),
        (req, lambda: gallery.enroll_unmatched(**there, req_id=face.req_id, person=ADA)),
        (
            req,
            lambda: gallery.unmatched_embedding(**there, req_id=face.req_id, model_tag=MODEL),
        ),
    ]
    for expected, attempt in attempts:
        with pytest.raises(FacesError) as error:
            attempt()
        assert error.value.code is expected
    assert gallery.get_person(**HERE, person_id=ada.person_id).faces == 1


def test_nobody_is_found_elsewhere(gallery: Gallery, there: Place) -> None:
    enroll(gallery, ADA, vector(1))
    assert gallery.search(**there, embedding=vector(1), k=5, model_tag=MODEL) == []
    assert gallery.list_people(**there).people == ()
    # The same e-mail and external id may be somebody there, too.
    enroll(gallery, ADA, vector(1), **there)
    (found,) = gallery.search(**there, embedding=vector(1), k=5, model_tag=MODEL)
    assert found.similarity == pytest.approx(1, abs=1e-3)


def test_the_snapshot_says_whose_a_face_is(gallery: Gallery, there: Place) -> None:
    here = enroll(gallery, ADA, vector(1))
    elsewhere = enroll(gallery, ADA, vector(2), **there)
    whose = {face.face_id: (face.tenant, face.collection) for face in gallery.load(MODEL).faces}
    assert whose == {
        here.face_id: ("default", "default"),
        elsewhere.face_id: (there["tenant"], there["collection"]),
    }


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 64, "a\x00", "-a", "a\n"])
def test_names_that_no_collection_may_have(gallery: Gallery, name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        gallery.ensure_collection("default", name)
    assert error.value.field == "collection"
    with pytest.raises(InvalidInput):
        gallery.ensure_collection(name, "default")
