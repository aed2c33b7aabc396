"""People: read, listed, searched, deleted."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faces.contracts.errors import ErrorCode, FacesError, InvalidInput
from faces.contracts.ids import new_id
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from tests.fixtures.gallery import HERE, MODEL, enroll, unmatched, vector

HOSTILE = [
    "Robert'); DROP TABLE people; --",
    "%_\\",
    '{"$ne": null}',
    "<script>alert(1)</script>",
    "$$; SELECT pg_sleep(9); $$",
    "%(query)s %s",
    "İstanbul ẞ ﬀ",
]


def names(gallery: Gallery, **options: object) -> list[str]:
    return [person.name for person in gallery.list_people(**HERE, **options).people]  # type: ignore[arg-type]


def add(gallery: Gallery, *people: NewPerson) -> None:
    for person in people:
        enroll(gallery, person, vector(1))


@pytest.mark.parametrize("name", HOSTILE)
def test_text_is_only_ever_text(gallery: Gallery, name: str) -> None:
    add(gallery, NewPerson(name=name, external_id=name), NewPerson(name="bystander"))
    assert names(gallery, query=name) == [name]
    assert sorted(names(gallery)) == sorted([name, "bystander"])
    (found,) = gallery.list_people(**HERE, query=name).people
    assert gallery.get_person(**HERE, person_id=found.person_id).external_id == name


@pytest.mark.parametrize("query", ["\x00", "\ud800", "a\nb"])
def test_a_query_that_no_text_can_hold_finds_nobody(gallery: Gallery, query: str) -> None:
    add(gallery, NewPerson(name="Ada"))
    assert names(gallery, query=query) == []


def test_a_query_looks_at_name_email_and_external_id(gallery: Gallery) -> None:
    add(
        gallery,
        NewPerson(name="Ada Lovelace"),
        NewPerson(name="Bob", email="LOVE@example.org"),
        NewPerson(name="Cy", external_id="x-love-1"),
        NewPerson(name="Dan"),
    )
    assert names(gallery, query="lOvE") == ["Ada Lovelace", "Bob", "Cy"]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    people=st.lists(st.sampled_from(["ada", "Ada", "ÄDA", "bob", "Bob", "~", "李"]), max_size=12),
    limit=st.integers(1, 5),
)
def test_pages_show_everybody_once_in_order(
    gallery: Gallery, people: list[str], limit: int
) -> None:
    collection = new_id()
    gallery.ensure_collection("default", collection)
    for name in people:
        enroll(gallery, NewPerson(name=name), vector(1), collection=collection)
    seen, cursor = [], None
    while True:
        page = gallery.list_people("default", collection, cursor=cursor, limit=limit)
        assert len(page.people) <= limit
        seen += [(person.name.lower(), person.person_id) for person in page.people]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.people) == limit
    assert seen == sorted(seen)
    assert sorted(name for name, _ in seen) == sorted(name.lower() for name in people)


def test_paging_goes_on_when_the_last_person_shown_is_deleted(gallery: Gallery) -> None:
    add(gallery, *[NewPerson(name=name) for name in "abcd"])
    page = gallery.list_people(**HERE, limit=2)
    gallery.delete_person(**HERE, person_id=page.people[-1].person_id)
    assert names(gallery, cursor=page.next_cursor) == ["c", "d"]


@pytest.mark.parametrize("cursor", ["x", "bnVsbA==", "WzEsMl0=", "WyJhIiwgImIiXQ==", "ä", "\x00"])
def test_a_cursor_that_was_never_given_out(gallery: Gallery, cursor: str) -> None:
    with pytest.raises(InvalidInput) as error:
        gallery.list_people(**HERE, cursor=cursor)
    assert error.value.field == "cursor"


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_bounds(gallery: Gallery, limit: int) -> None:
    with pytest.raises(InvalidInput):
        gallery.list_people(**HERE, limit=limit)


def test_a_deleted_person_is_gone(gallery: Gallery) -> None:
    ada = enroll(gallery, NewPerson(name="Ada", email="ada@example.org"), vector(1))
    enroll(gallery, ada.person_id, vector(2))
    bob = enroll(gallery, NewPerson(name="Bob"), vector(3))

    assert gallery.delete_person(**HERE, person_id=ada.person_id).faces == 2

    with pytest.raises(FacesError) as error:
        gallery.delete_person(**HERE, person_id=ada.person_id)
    assert error.value.code is ErrorCode.UNKNOWN_PERSON
    with pytest.raises(FacesError):
        gallery.get_person(**HERE, person_id=ada.person_id)
    assert [face.face_id for face in gallery.load(MODEL).faces] == [bob.face_id]
    # The e-mail is free again.
    enroll(gallery, NewPerson(name="Ada", email="ada@example.org"), vector(1))


def test_faces_are_listed_oldest_first(gallery: Gallery) -> None:
    face = unmatched(vector(1))
    first = enroll(gallery, NewPerson(name="Ada"), vector(2))
    gallery.remember_unmatched([face])
    second = enroll(gallery, first.person_id, vector(3))
    listed = gallery.list_faces(**HERE, person_id=first.person_id)
    assert [each.face_id for each in listed] == [first.face_id, second.face_id]
    assert all(each.created_at.utcoffset() is not None for each in listed)
