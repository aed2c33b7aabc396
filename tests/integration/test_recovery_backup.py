"""A backup of the gallery, restored into an empty database, is equal in every value."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from chalice_app import dependencies
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from faces.gallery.transfer import Transfer
from tests.fixtures.gallery import MODEL, QUALITY, enroll, vector
from tests.unit.chalice_app.fakes import FakeContext
from tests.unit.chalice_app.gateway import call

PEOPLE = 25


def on_database(url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[FakeContext, KeptConnection]:
    context, connections = FakeContext(), KeptConnection(url)
    context.gallery = Gallery(connections, context.clock)
    context.transfer = Transfer(connections, context.clock)
    monkeypatch.setattr(dependencies, "context", lambda: context)
    return context, connections


def exported() -> list[Any]:
    people, cursor = [], ""
    while True:
        page = call("GET", f"/v1/collections/default/export?limit=7{cursor}").json
        people += page["people"]
        if "next_cursor" not in page:
            return people
        cursor = f"&cursor={page['next_cursor']}"


def recognised(gallery: Gallery) -> list[Any]:
    """Return who each of many faces is taken for, and how surely."""
    found = []
    for seed in range(PEOPLE + 5):
        nearest = gallery.search("default", "default", vector(seed + 1000, near=seed), 3, MODEL)
        found.append([(each.person_id, each.face_id, each.similarity) for each in nearest])
    return found


def test_a_restored_backup_is_equal(
    new_database: Callable[..., str], gallery_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, before = on_database(new_database(gallery_template), monkeypatch)
    for number in range(PEOPLE):
        person = enroll(
            context.gallery,
            NewPerson(name=f"Person {number} Ω", email=f"{number}@example.org"),
            vector(number),
        )
        for more in range(120 if number == 7 else number % 3):
            enroll(context.gallery, person.person_id, vector(100 + 130 * number + more))
    backup, answers = exported(), recognised(context.gallery)
    assert QUALITY.sharpness == backup[0]["faces"][0]["quality"]["sharpness"]
    before.close()

    context, after = on_database(new_database(gallery_template), monkeypatch)
    # As it lies in a file.
    restored = json.loads(json.dumps(backup))
    for start in range(0, len(restored), 10):
        body = {"people": restored[start : start + 10]}
        done = call("POST", "/v1/collections/default/import", body).json
        assert done["skipped"] == []
    assert exported() == backup
    assert recognised(context.gallery) == answers
    assert len(backup) == PEOPLE
    after.close()


def test_a_page_is_never_too_large_for_an_answer(
    new_database: Callable[..., str], gallery_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faces.gallery.transfer.FACES_AT_ONCE", 5)
    context, connections = on_database(new_database(gallery_template), monkeypatch)
    for faces in (3, 2, 1, 0, 9, 0, 5):
        made = call("POST", "/v1/people", {"name": f"{faces} faces"}).json
        for number in range(faces):
            enroll(context.gallery, made["person_id"], vector(number))
    sizes, cursor = [], ""
    while True:
        page = call("GET", f"/v1/collections/default/export?limit=7{cursor}").json
        sizes.append([len(person["faces"]) for person in page["people"]])
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sizes == [[3, 2], [1, 0], [9], [0, 5]]
    connections.close()
