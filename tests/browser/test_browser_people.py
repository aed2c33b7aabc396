"""Naming, renaming, merging and deleting in a browser, with a pretended service."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from tests.browser.pretended import (
    AT,
    Asked,
    Pretended,
    answers,
    face,
    jpeg,
    moment,
    person,
    raising,
    result,
    send,
)

# ---------------------------------------------------------------- naming


def enrolments(service: Pretended) -> list[Any]:
    return [
        asked.body
        for asked in service.asked
        if (asked.method, asked.path) == ("POST", "/v1/people")
    ]


def name_it(page: Page, name: str) -> None:
    page.get_by_label("Name of face 1").fill(name)
    page.keyboard.press("Enter")


def test_an_unknown_face_is_named_by_its_req_id(page: Page, service: Pretended) -> None:
    unknown = face(AT)
    answers(service, result(unknown))
    service.on("POST", "/v1/people", {"person_id": new_id(), "face_id": new_id(), "name": "Ann"})
    send(page)
    name_it(page, "Ann")
    expect(page.get_by_role("button", name="Face 1: Ann")).to_be_visible()
    assert enrolments(service) == [
        {"collection": "default", "req_id": unknown["req_id"], "name": "Ann"}
    ]


def test_a_name_that_is_there_already_is_asked_about(page: Page, service: Pretended) -> None:
    ann = person("Ann", 3)
    service.on("GET", "/v1/people", {"people": [ann, person("Annabel")]})
    service.on("POST", "/v1/people", {"person_id": "-", "face_id": new_id(), "name": "Ann"})
    send(page)
    name_it(page, "ann")
    expect(page.get_by_role("button", name="Another ann")).to_be_visible()
    page.get_by_role("button", name="Add to Ann (3 faces)").click()
    expect(page.get_by_role("button", name="Face 1: Ann")).to_be_visible()
    (sent,) = enrolments(service)
    assert sent["person_id"] == ann["person_id"]
    assert "name" not in sent


def test_a_guarded_enrolment_can_be_forced(page: Page, service: Pretended) -> None:
    def guard(asked: Asked) -> Any:
        if not asked.body.get("force"):
            raise FacesError(ErrorCode.POOR_FACE)
        return {"person_id": new_id(), "face_id": new_id(), "name": "Ann"}

    service.on("POST", "/v1/people", guard)
    send(page)
    name_it(page, "Ann")
    expect(
        page.locator("#main").get_by_text("Use a sharp, well-lit, frontal and larger face.")
    ).to_be_visible()
    page.get_by_role("button", name="Save anyway").click()
    expect(page.get_by_role("button", name="Face 1: Ann")).to_be_visible()


def test_a_face_that_expired_cannot_be_forced(page: Page, service: Pretended) -> None:
    service.on("POST", "/v1/people", raising(ErrorCode.UNKNOWN_REQ_ID))
    send(page)
    name_it(page, "Ann")
    expect(page.locator("#main").get_by_text("send the photo again")).to_be_visible()
    expect(page.get_by_role("button", name="Save anyway")).to_have_count(0)


# ---------------------------------------------------------------- people


def test_people_are_shown_page_by_page_and_searched(page: Page, service: Pretended) -> None:
    everybody = [person(f"Person {number:02}") for number in range(30)]

    def listed(asked: Asked) -> Any:
        found = [each for each in everybody if asked.query.get("query", "") in each["name"]]
        start, limit = int(asked.query.get("cursor", 0)), int(asked.query["limit"])
        more = {"next_cursor": str(start + limit)} if len(found) > start + limit else {}
        return {"people": found[start : start + limit]} | more

    service.on("GET", "/v1/people", listed)
    page.get_by_role("link", name="People").click()
    people = page.locator(".people > li")
    expect(people).to_have_count(24)
    page.get_by_role("button", name="Show more").click()
    expect(people).to_have_count(30)
    expect(people.nth(24).get_by_role("button")).to_be_focused()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    page.get_by_label("Search people").fill("Person 1")
    expect(people).to_have_count(10)
    page.get_by_label("Search people").fill("Zoe")
    expect(page.get_by_text("Nobody here is called “Zoe”.")).to_be_visible()


def test_a_person_is_renamed_by_what_was_changed_only(page: Page, service: Pretended) -> None:
    ann = person("Ann", email="ann@example.com")
    changes: list[Any] = []

    def change(asked: Asked) -> Any:
        changes.append(asked.body)
        return ann | {"name": "Anna"}

    open_person(page, service, ann)
    service.on("PATCH", "/v1/people/([^/]+)", change)
    sheet = page.get_by_role("dialog", name="Ann")
    sheet.get_by_label("Name").fill("Anna")
    sheet.get_by_label("E-mail").fill("")
    sheet.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Anna")).to_be_visible()
    assert changes == [{"name": "Anna", "email": None}]


def open_person(page: Page, service: Pretended, someone: Any, *others: Any) -> None:
    service.on("GET", "/v1/people", {"people": [someone, *others]})
    stored = {"face_id": new_id(), "model_tag": "m", "created_at": moment(60)}
    service.on("GET", "/v1/people/([^/]+)/faces", {"faces": [stored]})
    page.get_by_role("link", name="People").click()
    page.get_by_role(
        "button", name=re.compile(f"^{someone['name']}|{someone['name']}")
    ).first.click()


def test_two_people_become_one_after_a_question(page: Page, service: Pretended) -> None:
    ann, double = person("Ann", 2), person("Double", 1)
    open_person(page, service, ann, double)
    service.on("POST", "/v1/people/([^/]+)/merge", ann | {"faces": 3})
    page.get_by_label("Take over all faces").fill("Dou")
    page.get_by_role("button", name="Double, 1 face").click()
    question = page.get_by_role("dialog", name="Merge Double into Ann?")
    expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    question.get_by_role("button", name="Merge").click()
    expect(page.get_by_text("Double is now Ann, with 3 faces.").first).to_be_visible()
    (merged,) = [asked for asked in service.asked if asked.path.endswith("/merge")]
    assert merged.path == f"/v1/people/{ann['person_id']}/merge"
    assert merged.body == {"merge": double["person_id"]}


def test_nothing_is_deleted_without_a_yes(page: Page, service: Pretended) -> None:
    ann = person("Ann")
    gone = {"person_id": "-", "faces": 2, "unmatched_faces": 0, "photos": 1}
    service.on("DELETE", "/v1/people/([^/]+)", gone)
    open_person(page, service, ann)
    page.get_by_role("button", name="Delete Ann").click()
    page.get_by_role("dialog", name="Delete Ann?").get_by_role("button", name="Cancel").click()
    assert not [asked for asked in service.asked if asked.method == "DELETE"]
    service.on("GET", "/v1/people", {"people": []})
    page.get_by_role("button", name="Delete Ann").click()
    page.get_by_role("dialog", name="Delete Ann?").get_by_role(
        "button", name="Delete", exact=True
    ).click()
    expect(page.get_by_text("Ann is deleted: 2 faces and 1 photo.").first).to_be_visible()
    expect(page.get_by_text("Nobody is here yet.")).to_be_visible()


def test_a_face_is_deleted_and_photos_are_added(page: Page, service: Pretended) -> None:
    ann = person("Ann")
    open_person(page, service, ann)
    service.on("DELETE", "/v1/faces/([^/]+)", {"face_id": "-", "photos": 0})
    page.get_by_role("button", name="Delete face 1").click()
    page.get_by_role("button", name="Delete face", exact=True).click()
    expect(page.get_by_text("A face of Ann is deleted.").first).to_be_visible()

    enrolment = {"person_id": ann["person_id"], "face_id": new_id(), "name": "Ann"}
    answers(service, result(face(AT)) | {"enrolment": enrolment})
    page.locator("dialog input[type=file]").set_input_files([jpeg("a.jpg"), jpeg("b.jpg")])
    expect(page.get_by_text("Ann has 2 more faces.").first).to_be_visible()
    kinds = [asked.body for asked in service.asked if asked.path == "/v1/jobs"]
    assert [(each["kind"], each["params"]) for each in kinds] == [
        ("enroll", {"person_id": ann["person_id"]})
    ] * 2


def test_a_face_is_given_to_whom_it_belongs(page: Page, service: Pretended) -> None:
    bob = person("Bob")
    open_person(page, service, person("Ann"), bob)
    service.on("PATCH", "/v1/faces/([^/]+)", bob)
    page.get_by_role("button", name="Move face 1 to somebody else").click()
    page.get_by_label("Give it to somebody else").fill("Bo")
    page.get_by_role("button", name="Bob, 2 faces").click()
    expect(page.get_by_text("Bob has the face now.").first).to_be_visible()
    (moved,) = [asked for asked in service.asked if asked.method == "PATCH"]
    assert moved.body == {"person_id": bob["person_id"]}


def test_a_new_person_is_made_of_photos(page: Page, service: Pretended) -> None:
    enrolment = {"person_id": "the-new-one", "face_id": new_id(), "name": "Ann"}
    answers(service, result(face(AT)) | {"enrolment": enrolment})
    page.get_by_role("link", name="People").click()
    page.get_by_role("button", name="Add a person").click()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Write a name.")).to_be_visible()
    page.get_by_label("Name").fill("Ann")
    page.get_by_label("Photos", exact=True).set_input_files([jpeg("a.jpg"), jpeg("b.jpg")])
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Ann is added with 2 faces.").first).to_be_visible()
    asked = [each.body["params"] for each in service.asked if each.path == "/v1/jobs"]
    assert asked == [{"person_name": "Ann"}, {"person_id": "the-new-one"}]


def test_a_collection_is_made_and_used(page: Page, service: Pretended) -> None:
    service.on("POST", "/v1/collections", {"collection": "office"})
    page.get_by_label("Collection").select_option("New collection…")
    page.get_by_role("dialog").get_by_label("Name").fill("office")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Collection", exact=True)).to_have_value("office")
    page.get_by_role("link", name="People").click()
    expect(page.get_by_text("Nobody is here yet.")).to_be_visible()
    assert service.asked[-1].query["collection"] == "office"
