"""A collection that is exported and imported is the same collection."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from faces.gallery.records import NewPerson
from tests.fixtures import gallery as made_up
from tests.fixtures.api import api_on
from tests.fixtures.gallery import HERE, MODEL, enroll, vector
from tests.unit.chalice_app.fakes import FakeContext
from tests.unit.chalice_app.gateway import call

QUALITY = made_up.QUALITY.model_dump(mode="json")
EXPORT, IMPORT = "/v1/collections/{}/export", "/v1/collections/{}/import"


@pytest.fixture
def context(database_url: str) -> Iterator[FakeContext]:
    with api_on(database_url) as made:
        yield made


@pytest.fixture
def exported(context: FakeContext) -> list[Any]:
    """Three people, one of two faces and one without any, page by page."""
    ann = enroll(context.gallery, NewPerson(name="Ann", email="ann@example.org"), vector(1))
    enroll(context.gallery, ann.person_id, vector(2))
    enroll(context.gallery, NewPerson(name="Zoë", external_id="7"), vector(3))
    cid = enroll(context.gallery, NewPerson(name="Cid"), vector(4))
    context.gallery.delete_face(**HERE, face_id=cid.face_id)
    people, cursor = [], ""
    while True:
        page = call("GET", EXPORT.format("default") + f"?limit=1{cursor}").json
        people += page["people"]
        if "next_cursor" not in page:
            return people
        cursor = f"&cursor={page['next_cursor']}"


def test_what_is_imported_is_what_was_exported(context: FakeContext, exported: list[Any]) -> None:
    assert [person["name"] for person in exported] == ["Ann", "Zoë", "Cid"]
    done = call("POST", IMPORT.format("copy"), {"people": exported})
    assert done.json == {"people": 3, "faces": 3, "skipped": []}
    again = call("POST", IMPORT.format("copy"), {"people": exported})
    assert again.json == {"people": 0, "faces": 0, "skipped": []}
    for place in ("default", "copy"):
        [first, *_] = context.gallery.search("default", place, vector(3), 1, MODEL)
        assert (first.name, first.similarity) == ("Zoë", pytest.approx(1, abs=1e-3))
    copied = context.gallery.list_people("default", "copy").people
    assert [(each.name, each.faces) for each in copied] == [("Ann", 2), ("Cid", 0), ("Zoë", 1)]
    assert copied[0].email == "ann@example.org"


def test_vectors_lose_nothing(context: FakeContext, exported: list[Any]) -> None:
    call("POST", IMPORT.format("copy"), {"people": exported})
    [ann, *_] = context.gallery.list_people("default", "default").people
    [twin, *_] = context.gallery.list_people("default", "copy").people
    before = context.gallery.person_embeddings(**HERE, person_id=ann.person_id, model_tag=MODEL)
    after = context.gallery.person_embeddings("default", "copy", twin.person_id, MODEL)
    assert np.array_equal(np.sort(before, axis=0), np.sort(after, axis=0))


def test_an_empty_collection_gets_the_very_ids_back(
    context: FakeContext, exported: list[Any]
) -> None:
    for person in exported:
        context.gallery.delete_person(**HERE, person_id=person["person_id"])
    call("POST", IMPORT.format("default"), {"people": exported})
    found = {person.person_id for person in context.gallery.list_people(**HERE).people}
    assert found == {person["person_id"] for person in exported}


def test_a_person_whose_email_is_taken_is_left_out(
    context: FakeContext, exported: list[Any]
) -> None:
    context.gallery.ensure_collection("default", "other")
    other = NewPerson(name="Other", email="ANN@example.org")
    enroll(context.gallery, other, vector(9), collection="other")
    done = call("POST", IMPORT.format("other"), {"people": exported}).json
    assert (done["people"], [each["code"] for each in done["skipped"]]) == (
        2,
        ["duplicate_person"],
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"vector": "A" * 1368}, "people.0.faces.0.vector"),
        ({"vector": "!" * 1368}, "people.0.faces.0.vector"),
        ({"vector": "AA=="}, "people.0.faces.0.vector"),
        ({"model_tag": "a\0b"}, "people.0.faces.0.model_tag"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "people.0.faces.0.created_at"),
        ({"created_at": "9999-12-31T23:59:59-14:00"}, "people.0.faces.0.created_at"),
        ({"quality": {**QUALITY, "sharpness": "nan"}}, "people.0.faces.0.quality.sharpness"),
        ({"quality": {**QUALITY, "sharpness": 1e999}}, "people.0.faces.0.quality.sharpness"),
        ({"face_id": "x" * 36}, "people.0.faces.0.face_id"),
        ({"face_id": "01A1FE3F-4440-7283-9F9D-42ADAC281CFC"}, "people.0.faces.0.face_id"),
    ],
)
def test_what_is_no_export_is_refused(
    context: FakeContext, exported: list[Any], change: dict[str, Any], field: str
) -> None:
    person = {**exported[0], "faces": [{**exported[0]["faces"][0], **change}]}
    answer = call("POST", IMPORT.format("copy"), {"people": [person]})
    assert (answer.status, answer.json["field"]) == (400, field)


def test_a_wrong_cursor(context: FakeContext) -> None:
    assert call("GET", EXPORT.format("default") + "?cursor=x").json["field"] == "cursor"
    assert call("GET", EXPORT.format("none")).json["code"] == "unknown_collection"
