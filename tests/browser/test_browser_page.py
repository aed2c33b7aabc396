"""The page in a browser, with a pretended service: what it does, and what it says."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from faces.contracts.errors import ErrorCode, FacesError
from tests.browser.pretended import (
    AT,
    KEY,
    Asked,
    Pretended,
    answers,
    face,
    jpeg,
    moment,
    photo,
    raising,
    result,
    send,
    sign_in,
)

# ---------------------------------------------------------------- key


def test_a_wrong_key_is_told_from_a_right_one(entrance: Page) -> None:
    entrance.get_by_role("button", name="Sign in").click()
    expect(entrance.get_by_text("Enter a key first.")).to_be_visible()
    entrance.get_by_label("API key").fill("wrong")
    entrance.keyboard.press("Enter")
    expect(entrance.get_by_text("This key is not known here.")).to_be_visible()
    expect(entrance.get_by_label("API key")).to_be_focused()
    sign_in(entrance)


def test_the_key_stays_in_the_tab_and_in_no_address(page: Page, service: Pretended) -> None:
    page.reload()
    expect(page.get_by_role("heading", name="Who is in the photo?")).to_be_visible()
    assert "key" not in page.url
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("document.cookie") == ""
    assert all(KEY not in str((asked.path, asked.query, asked.body)) for asked in service.asked)


def test_signing_out_leaves_nothing(page: Page) -> None:
    send(page)
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.get_by_role("article")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_key_that_is_revoked_leads_back_to_the_entrance(page: Page, service: Pretended) -> None:
    service.on("GET", "/v1/people", raising(ErrorCode.UNAUTHENTICATED))
    page.get_by_role("link", name="People").click()
    expect(page.get_by_text("This key is no longer accepted.")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_key_without_the_scope_to_read_may_enter(entrance: Page, service: Pretended) -> None:
    service.on("GET", "/v1/people", raising(ErrorCode.FORBIDDEN))
    service.on("GET", "/v1/collections", raising(ErrorCode.FORBIDDEN))
    sign_in(entrance)
    expect(entrance.get_by_label("Collection")).to_have_value("default")


# ---------------------------------------------------------------- photos


def test_a_photo_goes_to_the_store_by_its_form(page: Page, service: Pretended) -> None:
    send(page, jpeg("Ann & Bob.jpg"))
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    (body,) = service.sent
    assert b'name="x-amz-meta-kind"' in body
    assert body.index(b'name="key"') < body.index(b'name="file"')
    assert photo() in body
    (opened,) = [asked.body for asked in service.asked if asked.method == "POST"]
    assert opened == {
        "kind": "identify",
        "collection": "default",
        "content_type": "image/jpeg",
        "file_name": "Ann & Bob.jpg",
    }


def test_names_similarity_and_quality_are_drawn_on_the_photo(
    page: Page, service: Pretended
) -> None:
    poor = face((300, 300, 360, 380), quality={**face(AT)["quality"], "reasons": ["LOW_SHARPNESS"]})
    quality = {**face(AT)["quality"], "reasons": ["EXCEEDS_MAX_FACES"]}
    beyond = face((400, 20, 430, 60), req_id=None, quality=quality)
    shown = result(face(AT, "Ann <b>Lee</b>", 0.874), poor)
    answers(service, shown | {"left_out": [beyond]})
    send(page)
    mark = page.get_by_role("button", name="Face 1: Ann <b>Lee</b>, similarity 0.87")
    expect(mark).to_be_visible()
    expect(page.get_by_role("button", name="Face 2: Unknown, blurred")).to_be_visible()
    expect(
        page.locator("#main").get_by_text("3 faces: Ann <b>Lee</b>, 1 unknown, 1 not looked for")
    ).to_be_visible()
    expect(page.get_by_role("button", name="Face 3, one of too many")).to_be_visible()
    expect(page.get_by_role("img", name="Similarity 0.87 of 1; counts from 0.68")).to_be_visible()
    expect(page.get_by_role("img", name="Quality 64 of 100").first).to_be_visible()
    box, frame = mark.bounding_box(), page.locator(".photo").bounding_box()
    assert box is not None
    assert frame is not None
    assert (box["x"] - frame["x"]) / frame["width"] == pytest.approx(177 / 512, abs=0.01)
    assert (box["y"] - frame["y"]) / frame["height"] == pytest.approx(50 / 512, abs=0.01)
    # A press on the box of an unknown face leads to the place to name it.
    page.get_by_role("button", name="Face 2: Unknown").click()
    expect(page.get_by_label("Name of face 2")).to_be_focused()


def test_a_face_is_cut_from_the_photo_though_it_was_sent_smaller(page: Page) -> None:
    send(page)  # 128 pixels wide, 512 as the service saw it
    crop = page.get_by_role("img", name="Face 1")
    expect(crop).to_be_visible()
    brightness = crop.evaluate(
        """async image => {
            await image.decode();
            const canvas = new OffscreenCanvas(1, 1);
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0, 1, 1);
            return context.getImageData(0, 0, 1, 1).data[0];
        }"""
    )
    assert brightness > 40  # outside of the photo all is black


def test_a_photo_without_a_face_says_so(page: Page, service: Pretended) -> None:
    answers(service, result())
    send(page)
    expect(page.locator("#main").get_by_text("No face was found.")).to_be_visible()


def test_a_failure_is_told_in_the_services_words_and_can_be_tried_again(
    page: Page, service: Pretended
) -> None:
    answers(service, FacesError(ErrorCode.CORRUPT_IMAGE))
    send(page)
    expect(page.locator("#main").get_by_text("The image ends early or is damaged")).to_be_visible()
    answers(service, result(face(AT)))
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()


def test_a_photo_that_the_service_would_not_take_is_made_a_jpeg(
    page: Page, service: Pretended
) -> None:
    send(page, {"name": "old.bmp", "mimeType": "image/bmp", "buffer": photo("BMP")})
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    (body,) = service.sent
    assert b"Content-Type: image/jpeg" in body
    assert b"\xff\xd8\xff" in body


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"text", "no photo that the browser can read"), (b"", "This file is empty")],
)
def test_what_is_no_photo_is_not_sent(
    page: Page, service: Pretended, content: bytes, words: str
) -> None:
    send(page, {"name": "notes.txt", "mimeType": "text/plain", "buffer": content})
    expect(page.locator("#main").get_by_text(words)).to_be_visible()
    assert service.sent == []


def test_photos_can_be_dropped(page: Page) -> None:
    moved = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            const type = "image/jpeg";
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", {type}));
            return transfer;
        }""",
        list(photo()),
    )
    page.dispatch_event(".drop", "drop", {"dataTransfer": moved})
    expect(page.get_by_role("article", name="dropped.jpg")).to_be_visible()
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()


def test_the_camera_takes_photos(page: Page, service: Pretended) -> None:
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Take photo").click()
    expect(page.get_by_role("article", name="Camera")).to_be_visible()
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    assert len(service.sent) == 1


def test_an_upload_that_breaks_off_is_sent_again(page: Page, service: Pretended) -> None:
    service.refuse_uploads = 1
    send(page)
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    assert len(service.sent) == 1


def test_a_form_that_expired_while_the_network_was_away_is_replaced(
    page: Page, service: Pretended
) -> None:
    open_job = next(answer for method, _, answer in service.answers if method == "POST")
    opened: list[Any] = []

    def expired_at_first(asked: Asked) -> Any:
        opened.append(open_job(asked))
        opened[-1]["upload"]["expires_at"] = moment(-600 if len(opened) > 1 else 1)
        return opened[-1]

    service.on("POST", "/v1/jobs", expired_at_first)
    service.refuse_uploads = 1
    send(page)
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    (body,) = service.sent
    assert opened[1]["job_id"].encode() in body


def test_a_busy_service_is_asked_again_after_the_time_it_names(
    page: Page, service: Pretended
) -> None:
    tried: list[Asked] = []
    open_job = next(answer for method, _, answer in service.answers if method == "POST")

    def busy(asked: Asked) -> Any:
        tried.append(asked)
        if len(tried) == 1:
            raise FacesError(ErrorCode.TOO_MANY_REQUESTS)
        return open_job(asked)

    service.on("POST", "/v1/jobs", busy)
    send(page)
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    assert len(tried) == 2


def test_a_photo_that_is_deleted_on_its_way_goes_no_further(page: Page, service: Pretended) -> None:
    service.on("DELETE", "/v1/jobs/([^/]+)", {"job_id": "-", "unmatched_faces": 0})
    service.on(
        "GET",
        "/v1/jobs/([^/]+)",
        lambda asked: {
            "job_id": asked.values[0],
            "state": "awaiting_upload",
            "submitted_at": moment(),
        },
    )
    send(page, *(jpeg(f"{number}.jpg") for number in range(5)))  # four go, one waits
    expect(page.get_by_text("Looking for faces")).to_have_count(4)
    page.get_by_role("button", name="Delete 4.jpg and its result").click()
    page.get_by_role("button", name="Delete 0.jpg and its result").click()
    expect(page.get_by_role("article")).to_have_count(3)
    page.get_by_role("button", name="Delete 1.jpg and its result").click()
    expect(page.get_by_role("article")).to_have_count(2)
    answers(service, result(face(AT)))
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_have_count(2)
    assert len(service.sent) == 4
    assert [asked.method for asked in service.asked].count("DELETE") == 2


def test_a_photo_is_deleted_here_and_in_the_service(page: Page, service: Pretended) -> None:
    service.on("DELETE", "/v1/jobs/([^/]+)", {"job_id": "-", "unmatched_faces": 1})
    send(page)
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    page.get_by_role("button", name="Delete team.jpg and its result").click()
    expect(
        page.locator(".toast").get_by_text("The photo and its result are deleted")
    ).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(0)
    assert [asked.method for asked in service.asked].count("DELETE") == 1
