"""Every view at three widths, light and dark: pictures of it, and what axe says of it."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from tests.browser.conftest import THEMES, WIDTHS, Open, violations
from tests.browser.pretended import (
    AT,
    BASE,
    KEY,
    Asked,
    Pretended,
    face,
    jpeg,
    moment,
    person,
    raising,
    recent_job,
    result,
    send,
    sign_in,
    worker,
)

NAMES = ("Ada Lovelace", "Eileen Collins", "Grace Hopper", "Katherine Johnson", "Mae Jemison")


def operations(asked: Asked) -> Any:
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    history = [
        {
            "at": (minute - timedelta(minutes=ago)).isoformat(),
            "backlog": max(0, round(30 * math.sin(ago / 5))),
            "running": 3 + (ago % 7 > 3),
            "booting": int(ago % 5 == 0),
            "finished": 20 + ago % 9,
            "p50_seconds": 0.4,
            "p95_seconds": 1.1,
        }
        for ago in range(30, 2, -1)
    ]
    return {
        "at": moment(),
        "stack": "faces",
        "queues": {"arriving": 1, "waiting": 12, "in_flight": 9, "dead": 0},
        "fleet": [worker(1, "ready"), worker(2, "ready"), worker(3, "booting")],
        "history": history if asked.query["minutes"] != "0" else None,
    }


@pytest.fixture
def busy(service: Pretended) -> Pretended:
    """A service with people, photos of all outcomes, and work under way."""
    service.on("GET", "/v1/people", {"people": [person(name) for name in NAMES]})
    stored = {"face_id": new_id(), "model_tag": "m", "created_at": moment(60)}
    service.on("GET", "/v1/people/([^/]+)/faces", {"faces": [stored]})
    nearest = {"person_id": "-", "name": NAMES[0], "similarity": 0.44, "face_id": "-"}
    outcomes = [
        result(face(AT, NAMES[1], 0.97)),
        result(face(AT, candidates=[nearest])),
        FacesError(ErrorCode.CORRUPT_IMAGE).info(),
    ]
    seen: list[str] = []

    def job(asked: Asked) -> Any:
        seen.append(asked.values[0])
        outcome: Any = outcomes[(len(seen) - 1) % len(outcomes)]
        made = {"job_id": asked.values[0], "submitted_at": moment(1)}
        if isinstance(outcome, dict):
            return made | {"state": "succeeded", "result": outcome}
        return made | {"state": "failed", "error": outcome.model_dump(mode="json")}

    service.on("GET", "/v1/jobs/([^/]+)", job)
    jobs = [recent_job(number) for number in range(40)]
    error = FacesError(ErrorCode.NOT_AN_IMAGE).info().model_dump(mode="json")
    jobs[4] |= {"state": "failed", "faces": 0, "error": error}
    service.on("GET", "/v1/jobs", {"jobs": jobs, "complete": True})
    service.on("GET", "/v1/operations", operations)
    return service


@pytest.mark.parametrize("width", WIDTHS)
def test_every_view_is_accessible(
    busy: Pretended, new_page: Open, pictures: Path, width: str
) -> None:
    page = new_page(width=WIDTHS[width])
    busy.serve(page)

    def judge(view: str) -> None:
        # A tablet's colours are a phone's.
        for theme in THEMES if width != "tablet" else THEMES[:1]:
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            page.screenshot(path=pictures / f"{view}-{width}-{theme}.png", full_page=True)
            assert violations(page) == [], theme
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        # Nothing sticks out sideways.
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]

    page.goto(f"{BASE}/")
    judge("entrance")
    sign_in(page)
    judge("empty")
    for number in range(3):
        send(page, jpeg(f"photo-{number}.jpg"))
        expect(page.locator("[data-stage=done], [data-stage=failed]")).to_have_count(number + 1)
    judge("photos")
    page.get_by_role("link", name="People").click()
    expect(page.get_by_role("button", name=NAMES[0])).to_be_visible()
    judge("people")
    page.get_by_role("button", name=NAMES[0]).click()
    expect(page.get_by_role("button", name="Delete face 1")).to_be_visible()
    judge("person")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Operations").click()
    expect(page.get_by_text("app-tier-instance-1")).to_be_visible()
    judge("operations")


def test_the_colours_can_be_chosen_and_are_kept(page: Page) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.emulate_media(color_scheme="dark")  # as the computer does at nightfall
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Dark colours").click()
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()
    expect(page.locator("body")).not_to_have_css("background-color", light)
    dark = background()
    page.reload()
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()
    expect(page.locator("body")).to_have_css("background-color", dark)


def test_everything_can_be_done_with_the_keyboard_alone(
    entrance: Page, service: Pretended, tmp_path: Path
) -> None:
    page = entrance
    # From here on the browser opens no dialog of its own; asked later, a key can come before it.
    page.on("filechooser", lambda _: None)
    service.on("POST", "/v1/people", {"person_id": new_id(), "face_id": new_id(), "name": "Ann"})

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    def tab_to(role: str, name: str) -> None:
        target = page.get_by_role(role, name=name)  # type: ignore[arg-type]
        for _ in range(30):
            if target.count() and target.first.evaluate("each => each === document.activeElement"):
                return
            press("Tab")
        raise AssertionError(f"{role} {name} cannot be reached")

    page.keyboard.type(KEY)
    press("Enter")
    expect(page.get_by_role("heading", name="Who is in the photo?")).to_be_focused()
    photo = tmp_path / "team.jpg"
    photo.write_bytes(jpeg()["buffer"])
    tab_to("button", "Choose photos")
    with page.expect_file_chooser() as chooser:
        press("Enter")
    chooser.value.set_files(photo)
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    tab_to("button", "Face 1: Unknown")
    press("Enter")
    page.keyboard.type("Ann")
    press("Enter")
    expect(page.get_by_role("button", name="Face 1: Ann")).to_be_visible()

    service.on("GET", "/v1/people", {"people": [person("Ann")]})
    service.on("GET", "/v1/people/([^/]+)/faces", {"faces": []})
    service.on("PATCH", "/v1/people/([^/]+)", person("Anna"))
    page.evaluate("document.activeElement.blur()")
    tab_to("link", "People")
    press("Enter")
    expect(page.get_by_role("heading", name="People")).to_be_focused()
    expect(page.get_by_role("button", name="Ann")).to_be_visible()
    tab_to("button", "Ann")
    press("Enter")
    tab_to("textbox", "Name")
    press("End")
    page.keyboard.type("a")
    press("Enter")
    expect(page.get_by_role("heading", name="Anna")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_view_is_left_as_it_was(page: Page) -> None:
    send(page)
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    page.get_by_role("link", name="People").click()
    page.go_back()
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()


def test_the_charts_say_their_numbers_and_can_be_held(entrance: Page, busy: Pretended) -> None:
    sign_in(entrance)
    entrance.get_by_role("link", name="Operations").click()
    for name in (
        "Queue: now in work 9, waiting 13; at most",
        "Fleet: now ready 2, booting 1, leaving 0; at most",
        "Throughput: now answered",
        "Latency: now each job",
    ):
        expect(entrance.get_by_role("img", name=name)).to_be_visible()
    expect(entrance.get_by_text("none of the jobs below")).to_be_visible()
    expect(entrance.get_by_role("row", name="team-004.jpg")).to_contain_text("Not an image")
    expect(entrance.get_by_text("1 \u00d7 Not an image")).to_be_visible()
    expect(entrance.locator(".plot rect")).not_to_have_count(0)

    entrance.get_by_role("button", name="Pause").click()
    entrance.wait_for_timeout(1000)  # what was under way comes in
    asked = len(busy.asked)
    entrance.wait_for_timeout(3500)  # one turn
    assert len(busy.asked) == asked
    with entrance.expect_request("**/v1/jobs*"):
        entrance.get_by_role("button", name="Go on").click()


def test_who_may_not_see_the_stack_sees_the_own_jobs(entrance: Page, busy: Pretended) -> None:
    busy.on("GET", "/v1/operations", raising(ErrorCode.FORBIDDEN))
    sign_in(entrance)
    entrance.get_by_role("link", name="Operations").click()
    expect(entrance.get_by_text("shown to keys with the scope admin")).to_be_visible()
    expect(entrance.get_by_role("row", name="team-001.jpg")).to_be_visible()
