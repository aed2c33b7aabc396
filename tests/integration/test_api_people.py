"""The API on a real database: people, faces, collections, keys, limits and the audit log."""

import hashlib
import hmac
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from faces.contracts.errors import ErrorCode
from faces.contracts.ids import new_id
from faces.contracts.names import upload_key
from faces.contracts.results import PoorReason
from faces.gallery.database import KeptConnection
from faces.gallery.vectors import UnmatchedFace
from tests.fixtures.api import api_on
from tests.fixtures.gallery import HERE, MODEL, QUALITY, unmatched, vector
from tests.unit.chalice_app.fakes import KEY, FakeContext
from tests.unit.chalice_app.gateway import Answer, call


@pytest.fixture
def context(database_url: str) -> Iterator[FakeContext]:
    with api_on(database_url) as made:
        yield made


def unknown(context: FakeContext, seed: int, near: int | None = None, **changed: Any) -> str:
    """Have a face unknown, as after an identify job, and return its req_id."""
    face = unmatched(vector(seed, near))
    values = {name: getattr(face, name) for name in UnmatchedFace.__slots__}
    values["expires_at"] = context.clock() + timedelta(minutes=10)
    values["threshold"] = 0.7
    made = UnmatchedFace(**{**values, **changed})
    context.gallery.remember_unmatched([made])
    return made.req_id


def enrolled(context: FakeContext, seed: int, name: str, **more: Any) -> Any:
    answer = call("POST", "/v1/people", {"req_id": unknown(context, seed), "name": name, **more})
    assert answer.status == 201, answer.body
    return answer.json


def refused(answer: Answer, code: ErrorCode) -> str:
    assert answer.json["code"] == code, answer.body
    return str(answer.json["detail"])


def audit(**query: str) -> list[tuple[str, str | None]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    entries = call("GET", f"/v1/audit?{asked}").json["entries"]
    return [(entry["action"], entry.get("target")) for entry in entries]


def test_a_person_is_changed(context: FakeContext) -> None:
    ann = enrolled(context, 1, "Ann", email="ann@example.org")
    enrolled(context, 2, "Bob", email="bob@example.org")
    path = f"/v1/people/{ann['person_id']}"
    changed = call("PATCH", path, {"name": "Anna", "email": None, "birthdate": "1990-01-02"})
    assert (changed.json["name"], changed.json["birthdate"]) == ("Anna", "1990-01-02")
    assert "email" not in changed.json
    refused(call("PATCH", path, {"email": "BOB@example.org"}), ErrorCode.DUPLICATE_PERSON)
    assert call("PATCH", path, {"nickname": "A"}).json["field"] == "nickname"
    refused(call("PATCH", f"/v1/people/{new_id()}", {"name": "X"}), ErrorCode.UNKNOWN_PERSON)
    assert ("person.update", ann["person_id"]) in audit()


def test_two_people_become_one(context: FakeContext) -> None:
    ann, ann2 = enrolled(context, 1, "Ann"), enrolled(context, 2, "Ann M.", external_id="7")
    path = f"/v1/people/{ann['person_id']}/merge"
    merged = call("POST", path, {"merge": ann2["person_id"]}).json
    assert (merged["name"], merged["faces"], merged["external_id"]) == ("Ann", 2, "7")
    refused(call("GET", f"/v1/people/{ann2['person_id']}"), ErrorCode.UNKNOWN_PERSON)
    assert call("POST", path, {"merge": ann["person_id"]}).json["field"] == "merge"


def test_faces_are_listed_added_moved_and_deleted(context: FakeContext) -> None:
    ann, bob = enrolled(context, 1, "Ann"), enrolled(context, 2, "Bob")
    faces = f"/v1/people/{ann['person_id']}/faces"
    added = call("POST", faces, {"req_id": unknown(context, 3, near=1)})
    assert added.status == 201
    listed = call("GET", faces).json["faces"]
    assert [face["face_id"] for face in listed] == [ann["face_id"], added.json["face_id"]]
    assert listed[0]["model_tag"] == MODEL
    assert listed[0]["job_id"]
    path = f"/v1/faces/{added.json['face_id']}"
    assert call("PATCH", path, {"person_id": bob["person_id"]}).json["faces"] == 2
    assert call("DELETE", path).json == {"face_id": added.json["face_id"], "photos": 1}
    refused(call("DELETE", path), ErrorCode.UNKNOWN_FACE)
    refused(call("PATCH", path, {"person_id": bob["person_id"]}), ErrorCode.UNKNOWN_FACE)
    assert audit(target=added.json["face_id"]) == [
        ("face.delete", added.json["face_id"]),
        ("face.move", added.json["face_id"]),
        ("face.enrol", added.json["face_id"]),
    ]


def test_a_deleted_person_goes_with_faces_vectors_and_photos(context: FakeContext) -> None:
    job_id = context.upload(b"the photo")
    req_id = unknown(context, 1, job_id=job_id)
    ann = call("POST", "/v1/people", {"req_id": req_id, "name": "Ann"}).json
    again = unknown(context, 5, near=1, job_id=context.upload(b"another photo of Ann"))
    strange = context.upload(b"a stranger")
    other = unknown(context, 6, job_id=strange)
    deleted = call("DELETE", f"/v1/people/{ann['person_id']}")
    assert deleted.json == {
        "person_id": ann["person_id"],
        "faces": 1,
        "unmatched_faces": 1,
        "photos": 2,
    }
    assert context.objects.keys(context.settings.names.in_bucket) == [upload_key(strange)]
    assert context.gallery.photos_to_delete(10) == []
    refused(call("POST", "/v1/people", {"req_id": again, "name": "A"}), ErrorCode.UNKNOWN_REQ_ID)
    assert call("POST", "/v1/people", {"req_id": other, "name": "B"}).status == 201
    gone = call("GET", "/v1/audit?action=photo.delete").json["entries"]
    assert [(each["key_id"], each["counts"]) for each in gone] == [("root", {"photos": 2})]
    assert audit(target=ann["person_id"]) == [
        ("person.delete", ann["person_id"]),
        ("person.create", ann["person_id"]),
    ]
    entry = call("GET", "/v1/audit?action=person.delete").json["entries"][0]
    assert (entry["key_id"], entry["target"]) == ("root", ann["person_id"])
    assert entry["counts"] == {"people": 1, "faces": 1, "unmatched_faces": 1, "photos": 2}


def test_pages_go_on_after_any_name(context: FakeContext) -> None:
    for name in ("\U00010400" * 200, "\U00010401" * 200):
        assert call("POST", "/v1/people", {"name": name}).status == 201
    first = call("GET", "/v1/people?limit=1").json
    cursor = quote(first["next_cursor"])
    second = call("GET", f"/v1/people?limit=1&cursor={cursor}")
    assert second.status == 200
    assert second.json["people"][0]["name"] != first["people"][0]["name"]


def test_a_person_can_be_made_before_there_is_a_face(context: FakeContext) -> None:
    body = {"name": "Ann", "external_id": "7"}
    made = call("POST", "/v1/people", body)
    assert made.status == 201
    assert made.json["faces"] == 0
    assert made.json == call("GET", f"/v1/people/{made.json['person_id']}").json
    refused(call("POST", "/v1/people", body), ErrorCode.DUPLICATE_PERSON)
    refused(
        call("POST", "/v1/people", {**body, "collection": "none"}), ErrorCode.UNKNOWN_COLLECTION
    )
    path = f"/v1/people/{made.json['person_id']}"
    added = call("POST", f"{path}/faces", {"req_id": unknown(context, 1)})
    assert added.status == 201
    assert call("GET", path).json["faces"] == 1
    assert ("person.create", made.json["person_id"]) in audit()
    assert call("DELETE", path).json["faces"] == 1


def test_photos_are_left_to_the_sweep_while_s3_is_away(context: FakeContext) -> None:
    job_id = context.upload(b"the photo")
    req_id = unknown(context, 1, job_id=job_id)
    ann = call("POST", "/v1/people", {"req_id": req_id, "name": "Ann"}).json
    context.objects.away = True
    assert call("DELETE", f"/v1/people/{ann['person_id']}").status == 200
    assert context.gallery.photos_to_delete(10) == [job_id]
    assert call("GET", "/v1/audit?action=photo.delete").json["entries"] == []
    context.objects.away = False
    assert context.objects.keys(context.settings.names.in_bucket) == [upload_key(job_id)]


def test_enrolment_is_guarded_and_can_be_forced(context: FakeContext) -> None:
    ann = enrolled(context, 1, "Ann")
    own = f"/v1/people/{ann['person_id']}/faces"
    alike = unknown(context, 2, near=1)
    detail = refused(
        call("POST", "/v1/people", {"req_id": alike, "name": "B"}), ErrorCode.LOOKS_LIKE_ANOTHER
    )
    assert ann["person_id"] in detail
    same = unknown(context, 1)
    refused(call("POST", own, {"req_id": same}), ErrorCode.DUPLICATE_FACE)
    poor = QUALITY.model_copy(update={"reasons": (PoorReason.LOW_SHARPNESS,)})
    blurred = unknown(context, 3, quality=poor)
    detail = refused(
        call("POST", "/v1/people", {"req_id": blurred, "name": "C"}), ErrorCode.POOR_FACE
    )
    assert "LOW_SHARPNESS" in detail
    assert len(call("GET", "/v1/people").json["people"]) == 1

    forced = call("POST", own, {"req_id": same, "force": True})
    assert forced.json["warnings"] == ["duplicate_face"]
    forced = call("POST", "/v1/people", {"req_id": alike, "name": "B", "force": True})
    assert forced.json["warnings"] == ["looks_like_another"]
    forced = call("POST", "/v1/people", {"req_id": blurred, "name": "C", "force": True})
    assert forced.json["warnings"] == ["poor_face"]


def test_collections_are_made_changed_and_deleted(context: FakeContext) -> None:
    settings = {"threshold": 0.8, "retention": {"photos_seconds": 3600}}
    made = call("POST", "/v1/collections", {"collection": "staff", "settings": settings})
    assert made.status == 201
    assert made.json["settings"]["threshold"] == 0.8
    assert made.json["settings"]["retention"]["results_seconds"] == 7 * 86400
    refused(call("POST", "/v1/collections", {"collection": "staff"}), ErrorCode.COLLECTION_EXISTS)
    changed = call("PUT", "/v1/collections/staff/settings", {"threshold": -1})
    assert changed.json["settings"]["retention"]["photos_seconds"] == 86400
    assert context.gallery.collection_settings("default", "staff").threshold == -1
    listed = call("GET", "/v1/collections").json["collections"]
    assert [each["collection"] for each in listed] == ["default", "staff"]
    assert call("GET", "/v1/collections/staff").json == changed.json
    deleted = call("DELETE", "/v1/collections/staff")
    assert deleted.json["people"] == 0
    for method in ("GET", "DELETE"):
        refused(call(method, "/v1/collections/staff"), ErrorCode.UNKNOWN_COLLECTION)
    assert call("DELETE", "/v1/collections/default").json["field"] == "collection"
    assert [action for action, _ in audit(collection="staff")] == [
        "collection.delete",
        "collection.change",
        "collection.create",
    ]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"threshold": 1.5}, "settings.threshold"),
        ({"retention": {"photos_seconds": 7 * 86400 + 1}}, "settings.retention.photos_seconds"),
        ({"retention": {"results_seconds": 1}}, "settings.retention.results_seconds"),
        ({"retention": {"unmatched_seconds": 1}}, "settings.retention.unmatched_seconds"),
        ({"colour": "red"}, "settings.colour"),
    ],
)
def test_wrong_settings_of_a_collection(
    context: FakeContext, settings: dict[str, Any], field: str
) -> None:
    body = {"collection": "staff", "settings": settings}
    answer = call("POST", "/v1/collections", body)
    assert (answer.status, answer.json["field"]) == (400, field)


def make_key(**asked: Any) -> Any:
    answer = call("POST", "/v1/keys", {"name": "Test", "scopes": ["admin"], **asked})
    assert answer.status == 201, answer.body
    return answer.json


def test_keys_are_made_listed_and_revoked(context: FakeContext) -> None:
    made = make_key(scopes=["read", "read", "enrol"])
    assert made["scopes"] == ["enrol", "read"]
    assert made["key"].startswith(made["prefix"])
    assert call("GET", "/v1/people", key=made["key"]).status == 200
    refused(call("GET", "/v1/keys", key=made["key"]), ErrorCode.FORBIDDEN)
    for wrong in (made["key"][:-1], made["key"] + "x", made["prefix"] + "_" + "x" * 43):
        refused(call("GET", "/v1/people", key=wrong), ErrorCode.UNAUTHENTICATED)
    [listed] = call("GET", "/v1/keys").json["keys"]
    assert "key" not in listed
    revoked = call("DELETE", f"/v1/keys/{made['key_id']}").json
    assert revoked["revoked_at"]
    refused(call("GET", "/v1/people", key=made["key"]), ErrorCode.UNAUTHENTICATED)
    refused(call("DELETE", f"/v1/keys/{new_id()}"), ErrorCode.UNKNOWN_KEY)


def test_the_key_is_stored_nowhere(context: FakeContext, database_url: str) -> None:
    key = make_key()["key"]
    connections = KeptConnection(database_url)
    with connections() as connection:
        [row] = connection.execute("SELECT api_keys::text FROM api_keys").fetchall()
    connections.close()
    assert key[-43:] not in row[0]


def test_a_key_is_in_no_log_line(
    context: FakeContext, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        key = make_key(scopes=["read"], requests_per_minute=1)["key"]
        assert call("GET", "/v1/people", key=key).status == 200
        assert call("GET", "/v1/people", key=key).status == 429
        assert call("GET", "/v1/keys", key=key[:-1] + "!").status == 401
        context.clock.move(60)
        assert call("GET", "/v1/keys", key=key).status == 403
    written = capsys.readouterr().out + caplog.text + str([vars(each) for each in caplog.records])
    assert "answered" in written
    assert key[-43:-1] not in written


def test_keys_are_compared_in_constant_time(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every hash of a key that is given is compared by `hmac.compare_digest`, and by it alone."""
    key = make_key(scopes=["read"])["key"]
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for given in (KEY, key):
        assert call("GET", "/v1/people", key=given).status == 401, "nothing else lets a key in"
    digest = [hashlib.sha256(given.encode()).hexdigest() for given in (KEY, key)]
    root = context.settings.api_key_sha256
    assert compared == [(digest[0], root), (digest[1], root), (digest[1], digest[1])]


def test_a_tenant_sees_only_its_own(context: FakeContext) -> None:
    ann = enrolled(context, 1, "Ann")
    theirs = make_key(tenant="acme")["key"]
    assert call("GET", "/v1/collections", key=theirs).json["collections"] == []
    refused(call("GET", "/v1/people", key=theirs), ErrorCode.UNKNOWN_COLLECTION)
    call("POST", "/v1/collections", {"collection": "default"}, key=theirs)
    path = f"/v1/people/{ann['person_id']}"
    refused(call("DELETE", path, key=theirs), ErrorCode.UNKNOWN_PERSON)
    face = f"/v1/faces/{ann['face_id']}"
    refused(call("DELETE", face, key=theirs), ErrorCode.UNKNOWN_FACE)
    assert len(call("GET", "/v1/keys", key=theirs).json["keys"]) == 1
    assert call("GET", "/v1/keys").json["keys"] == []
    mine = make_key()["key_id"]
    refused(call("DELETE", f"/v1/keys/{mine}", key=theirs), ErrorCode.UNKNOWN_KEY)
    entries = call("GET", "/v1/audit", key=theirs).json["entries"]
    assert [entry["action"] for entry in entries] == ["collection.create", "key.create"]
    own = {"name": "K", "scopes": ["read"], "tenant": "default"}
    refused(call("POST", "/v1/keys", own, key=theirs), ErrorCode.FORBIDDEN)


def test_a_limit_is_answered_with_when_to_come_again(context: FakeContext) -> None:
    key = make_key(scopes=["read"], requests_per_minute=20)["key"]
    for _ in range(20):
        assert call("GET", "/v1/people", key=key).status == 200
    answer = call("GET", "/v1/people", key=key)
    refused(answer, ErrorCode.TOO_MANY_REQUESTS)
    assert answer.headers["retry-after"] == "3"
    context.clock.move(2.9)
    assert call("GET", "/v1/people", key=key).status == 429
    context.clock.move(0.1)
    assert call("GET", "/v1/people", key=key).status == 200
    assert call("GET", "/v1/people", key=key).status == 429
    context.clock.move(3600)
    answers = [call("GET", "/v1/people", key=key).status for _ in range(21)]
    assert answers == [200] * 20 + [429]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["read"]}, "name"),
        ({"name": "a\n", "scopes": ["read"]}, "name"),
        ({"name": "a", "scopes": []}, "scopes"),
        ({"name": "a", "scopes": ["all"]}, "scopes.0"),
        ({"name": "a", "scopes": ["read"], "requests_per_minute": 0}, "requests_per_minute"),
        ({"name": "a", "scopes": ["read"], "tenant": "-"}, "tenant"),
    ],
)
def test_a_key_with_a_wrong_field(context: FakeContext, body: Any, field: str) -> None:
    answer = call("POST", "/v1/keys", body)
    assert (answer.status, answer.json["field"]) == (400, field)


def test_the_audit_log_is_read_page_by_page(context: FakeContext) -> None:
    for number in range(5):
        make_key(name=str(number))
    pages, cursor = [], ""
    while True:
        page = call("GET", f"/v1/audit?limit=2{cursor}").json
        pages.append([entry["entry_id"] for entry in page["entries"]])
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [len(page) for page in pages] == [2, 2, 1]
    ids = [each for page in pages for each in page]
    assert ids == sorted(ids, reverse=True)
    assert call("GET", "/v1/audit?cursor=x").json["field"] == "cursor"


def test_nothing_is_found_under_impossible_names(context: FakeContext) -> None:
    assert context.gallery.collection_settings("a\0", "b").threshold is None
    assert call("GET", "/v1/audit?target=a%00b").json["entries"] == []
    refused(call("GET", "/v1/collections/a%00b"), ErrorCode.UNKNOWN_COLLECTION)
    assert context.gallery.get_collection(**HERE).people == 0
