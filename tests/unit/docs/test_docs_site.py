"""The site is built without a warning, is whole, and asks no other host for anything."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from docs import command_pictures, dashboard_pictures
from docs.blocks import ROOT
from docs.griffe_docstrings import rewritten

ASKED_FOR = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?(?:src|href)=\"(\S+?)\"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_no_other_host_is_asked(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        for address in ASKED_FOR.findall(page.read_text("utf-8")):
            assert not re.match(r"(?:https?:)?//", address), f"{page.name}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", style.read_text("utf-8")), style


def test_the_reference_is_made_from_the_code(site: Path) -> None:
    sdk = (site / "reference/sdk.html").read_text("utf-8")
    for name in ("AsyncClient.identify", "AsyncClient.stream", "RetryPolicy", "verify_webhook"):
        assert f'id="faces.client.{name}"' in sdk
    assert "address of the service" in sdk
    policies = re.findall(r"<b><code>poll</code></b>.*?</li>", sdk, re.DOTALL)
    assert policies
    assert all("PollPolicy" in each and "RetryPolicy" not in each for each in policies)
    documents = (site / "reference/documents.html").read_text("utf-8")
    assert 'id="faces.contracts.results.JobResult"' in documents


def test_every_decision_has_a_link(site: Path) -> None:
    page = (site / "decisions/index.html").read_text("utf-8")
    for decision in (ROOT / "docs/decisions").glob("[0-9]*.md"):
        assert f"{decision.stem}.html" in page


def test_the_picture_of_the_fleet_is_what_the_code_shows() -> None:
    svg = command_pictures.FILE.read_text("utf-8")
    assert svg == command_pictures.render(), "run `python -m docs.command_pictures`"
    assert not re.search(r"url\(\"?https?:", svg)


@pytest.mark.parametrize("name", ["service", "fleet"])
def test_the_picture_of_a_dashboard_is_of_the_present_one(name: str) -> None:
    widgets = dashboard_pictures.dashboards()[name]
    for widget in widgets:
        shown = list(dashboard_pictures.lines(widget["properties"]))
        assert shown, widget["properties"]["title"]
    with Image.open(dashboard_pictures.file(name)) as seen:
        assert seen.info["Description"] == dashboard_pictures.drawn_from(widgets), (
            "run `python -m docs.dashboard_pictures`"
        )


def test_descriptions_are_put_where_the_parser_looks() -> None:
    docstring = (
        "Do it.\n\nParameters\n----------\na, b : what\n    it is.\n\nReturns\n-------\nc : d"
    )
    assert rewritten(docstring) == (
        "Do it.\n\nParameters\n----------\na\n    what\n    it is.\nb\n    what\n    it is."
        "\n\nReturns\n-------\nc : d"
    )
