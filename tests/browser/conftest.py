"""A headless Chromium, and pages whose errors fail the test."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    expect,
    sync_playwright,
)

from faces.contracts.ids import new_id
from local_stack.settings import ROOT
from tests.browser.pretended import (
    AT,
    BASE,
    KEY,
    Asked,
    Pretended,
    answers,
    face,
    moment,
    result,
)

PATIENCE_MS = 15_000
"""The first call of each kind starts a Lambda, on the cores that the browser uses."""

expect.set_options(timeout=PATIENCE_MS)

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A test pattern stands in for a camera, and the browser does not ask.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
INSTALLED = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PICTURES = ROOT / ".local" / "screenshots"
WIDTHS = {"phone": 390, "tablet": 820, "desktop": 1360}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# What a test brings about on purpose: answers that are errors, a network that is away.
_EXPECTED = re.compile(r"Failed to load resource|net::ERR_")

Open = Callable[..., Page]


def find_chromium() -> str | None:
    """Return the path of an installed Chromium, or None for Playwright's own."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, INSTALLED)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file; they are skipped where there is none.

    It ends before other tests begin: an event loop runs in its thread as long as it does.
    """
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        except Error as error:
            pytest.skip(
                "no Chromium: install Debian's package chromium, name one in CHROMIUM, or run "
                f"`playwright install chromium` ({error.message.splitlines()[0]})"
            )
        yield started
        started.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Open]:
    """Open pages, each as a visitor of its own; what they complain of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(width: int = 1360, height: int = 900, **options: Any) -> Page:
        # Motion would make pictures, and what axe sees of colours, a matter of luck.
        options = {"reduced_motion": "reduce", "color_scheme": "light", **options}
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: (
                complaints.append(f"console: {message.text}")
                if message.type in ("error", "warning") and not _EXPECTED.search(message.text)
                else None
            ),
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots are kept for people to look at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES


def violations(page: Page) -> list[str]:
    """Return what axe (WCAG 2.2 A and AA, and its best practices) finds wrong."""
    found = Axe().run(page)
    return [
        f"{each['id']}: {each['help']}: {node['target']} {node.get('failureSummary', '')}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]


@pytest.fixture
def service() -> Pretended:
    """A service that knows nobody; each photo shows one unknown face."""
    made = Pretended()
    made.on("GET", "/v1/collections", {"collections": [{"collection": "default"}]})
    made.on("GET", "/v1/people", {"people": []})

    def open_job(_asked: Asked) -> Any:
        job_id = new_id()
        form = {
            "url": f"{made.bucket}/in/",
            "fields": {"key": f"uploads/{job_id}", "x-amz-meta-kind": "identify"},
            "max_bytes": 10_000_000,
            "expires_at": moment(-600),
        }
        return {"job_id": job_id, "state": "awaiting_upload", "upload": form, "poll_url": "-"}

    made.on("POST", "/v1/jobs", open_job)
    answers(made, result(face(AT)))
    return made


@pytest.fixture
def entrance(service: Pretended, new_page: Open) -> Page:
    """The page as a stranger sees it."""
    page = new_page()
    service.serve(page)
    page.goto(f"{BASE}/")
    return page


@pytest.fixture
def page(service: Pretended, new_page: Open) -> Page:
    """The page in a tab where somebody has signed in before."""
    page = new_page()
    service.serve(page)
    # A tab's name outlives the page, so who signs out stays so.
    page.add_init_script(
        f"""if (window.name !== "used") {{
            window.name = "used";
            sessionStorage.setItem("faces-key", {json.dumps(KEY)});
        }}"""
    )
    page.goto(f"{BASE}/")
    expect(page.get_by_role("heading", name="Who is in the photo?")).to_be_visible()
    return page
