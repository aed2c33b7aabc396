"""The page against a whole local stack: real uploads, real S3, a real worker."""

import base64
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageOps
from playwright.sync_api import Page, expect
from skimage import data

from faces.contracts.ids import new_id
from local_stack.stack import LocalStack
from tests.browser.conftest import Open, violations

NAME = "Eileen Collins"
# A photo waits for the first worker's network, on two cores that are also the browser's.
ANSWERED = 90_000


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The public-domain astronaut in several files, and files that are no photos."""
    folder = tmp_path_factory.mktemp("photos")
    astronaut = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]
    made = {name: folder / f"{name}.jpg" for name in ("plain", "mirrored", "lying", "false")}
    astronaut.save(made["plain"], quality=92)
    ImageOps.mirror(astronaut).save(made["mirrored"], quality=85)
    # As phones write it: the pixels lie on their side, the EXIF orientation says so.
    exif = Image.Exif()
    exif[0x0112] = 6
    astronaut.rotate(90, expand=True).save(made["lying"], quality=92, exif=exif)
    made["false"].write_bytes(b"This is no photo at all. " * 40)
    made["text"] = folder / "notes.txt"
    made["text"].write_text("Nothing to see here.")
    return made


@pytest.fixture
def collection(stack: LocalStack) -> str:
    """A collection of the test's own."""
    name = f"office-{new_id()[-4:]}"
    ask(stack, "/v1/collections", {"collection": name})
    return name


@pytest.fixture
def page(stack: LocalStack, collection: str, new_page: Open) -> Page:
    """The page, signed in, with an empty collection."""
    opened = new_page(height=1180)
    opened.goto(stack.url)
    opened.get_by_label("API key").fill(stack.api_key)
    opened.get_by_role("button", name="Sign in").click()
    opened.get_by_label("Collection").select_option(collection)
    return opened


def add_double(stack: LocalStack, collection: str) -> None:
    vector = base64.b64encode(b"\x00\x3c" + bytes(1022)).decode()  # 1, 0, 0, ...
    face = {"face_id": new_id(), "model_tag": "another/1", "vector": vector}
    double = {"person_id": new_id(), "name": "Double", "faces": [face]}
    ask(stack, f"/v1/collections/{collection}/import", {"people": [double]})


def ask(stack: LocalStack, path: str, body: Any) -> None:
    headers = {"X-Api-Key": stack.api_key}
    answer = httpx.post(stack.url + path, json=body, headers=headers, timeout=30, trust_env=False)
    answer.raise_for_status()


def send(page: Page, *photos: Path) -> None:
    page.locator("#chooser").set_input_files(list(photos))


def test_an_unknown_face_is_named_recognised_renamed_merged_and_deleted(
    page: Page, stack: LocalStack, collection: str, photos: dict[str, Path], pictures: Path
) -> None:
    # Nobody is known: the face is shown, and named there and then.
    send(page, photos["plain"])
    first = page.get_by_role("article", name="plain.jpg")
    expect(first.get_by_role("button", name="Face 1: Unknown")).to_be_visible(timeout=ANSWERED)
    first.get_by_label("Name of face 1").fill(NAME)
    first.get_by_role("button", name="Save").click()
    expect(first.get_by_role("button", name=f"Face 1: {NAME}")).to_be_visible()

    # Another version of the photo, on its side as a phone writes it, is recognised; the box
    # lies on the face of the upright photo.
    send(page, photos["lying"])
    second = page.get_by_role("article", name="lying.jpg")
    mark = second.get_by_role("button", name=f"Face 1: {NAME}, similarity")
    expect(mark).to_be_visible(timeout=ANSWERED)
    photo, box = second.locator(".photo").bounding_box(), mark.bounding_box()
    assert photo is not None
    assert box is not None
    middle = (
        (box["x"] + box["width"] / 2 - photo["x"]) / photo["width"],
        (box["y"] + box["height"] / 2 - photo["y"]) / photo["height"],
    )
    assert middle == pytest.approx((0.43, 0.2), abs=0.06)
    expect(second.get_by_text("counts from")).to_be_visible()
    expect(second.get_by_text("Quality")).to_be_visible()
    page.locator(".toast").evaluate_all("toasts => toasts.forEach(toast => toast.remove())")
    page.screenshot(path=pictures / "stack-photos.png")

    # The people page: renamed, merged with a double, deleted.
    page.get_by_role("link", name="People").click()
    # Not the marks on the photos, whose page may still be there.
    page.get_by_role("button", name=re.compile(f"^{NAME}")).click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_role("button", name="Delete face 1")).to_be_visible()
    sheet.get_by_label("Name").fill("Col. Collins")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet.get_by_role("heading", name="Col. Collins")).to_be_visible()
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Add a person").click()
    adding = page.get_by_role("dialog", name="Add a person")
    adding.get_by_label("Name").fill("Double")
    adding.get_by_label("Photos").set_input_files(photos["mirrored"])
    adding.get_by_role("button", name="Add").click()
    # The service sees who it is, and says so.
    expect(adding.get_by_text("looks like").first).to_be_visible(timeout=ANSWERED)
    page.keyboard.press("Escape")

    # A double from another stack goes up in the person.
    add_double(stack, collection)
    page.get_by_role("button", name="Col. Collins").click()
    page.get_by_label("Take over all faces").fill("Double")
    page.get_by_role("button", name="Double, 1 face").click()
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.locator(".toast").get_by_text("with 2 faces")).to_be_visible()
    expect(page.get_by_role("button", name="Double")).to_have_count(0)

    page.get_by_role("button", name="Col. Collins").click()
    page.get_by_role("button", name="Delete Col. Collins").click()
    page.get_by_role("dialog", name="Delete Col. Collins?").get_by_role(
        "button", name="Delete", exact=True
    ).click()
    expect(page.locator("#main").get_by_text("Nobody is here yet")).to_be_visible()


def test_files_that_are_no_photos_are_refused_in_words(page: Page, photos: dict[str, Path]) -> None:
    send(page, photos["false"], photos["text"])
    false = page.get_by_role("article", name="false.jpg")
    expect(false.get_by_text("The file is no image that can be read")).to_be_visible(
        timeout=ANSWERED
    )
    text = page.get_by_role("article", name="notes.txt")
    expect(text.get_by_text("no photo that the browser can read")).to_be_visible()


def test_a_photo_waits_for_a_connection_that_is_lost(page: Page, photos: dict[str, Path]) -> None:
    page.context.set_offline(True)
    send(page, photos["plain"])
    card = page.get_by_role("article", name="plain.jpg")
    expect(page.get_by_text("There is no network.")).to_be_visible()
    expect(card.get_by_text("It goes on by itself")).to_be_visible()
    page.context.set_offline(False)
    expect(card.get_by_role("button", name="Face 1")).to_be_visible(timeout=ANSWERED)
    expect(page.get_by_text("There is no network.")).to_be_hidden()


def test_operators_see_jobs_and_workers(
    page: Page, photos: dict[str, Path], pictures: Path
) -> None:
    send(page, photos["plain"], photos["false"])
    expect(page.get_by_role("button", name="Face 1")).to_be_visible(timeout=ANSWERED)
    page.get_by_role("link", name="Operations").click()
    # Cold Lambdas answer these, and one that never spoke to EC2 reads its whole model first.
    expect(page.get_by_text("app-tier-instance-").first).to_be_visible(timeout=ANSWERED)
    row = page.get_by_role("row", name="plain.jpg").first
    expect(row).to_contain_text("done", timeout=ANSWERED)
    row = page.get_by_role("row", name="false.jpg").first
    expect(row).to_contain_text("Not an image", timeout=ANSWERED)
    expect(page.get_by_role("img", name="Queue: now")).to_be_visible()
    assert violations(page) == []
    page.screenshot(path=pictures / "stack-operations.png", full_page=True)
