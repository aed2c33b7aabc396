"""The page as it is sent: joined modules, guarding headers, addresses that may be kept."""

import re

import pytest

from chalice_app import dependencies
from chalice_app.page import files
from chalice_app.page.bundle import BundleError, bundle
from tests.unit.chalice_app.fakes import FakeContext
from tests.unit.chalice_app.gateway import call


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    made = FakeContext()
    monkeypatch.setattr(dependencies, "context", lambda: made)
    return made


def test_modules_become_blocks_in_the_order_of_their_use() -> None:
    script = bundle(
        {
            "main.js": 'import { one, two } from "./low.js";\none(two);',
            "low.js": "export function one() {}\nexport const two = 2;\nconst own = 3;",
        },
        "main.js",
    )
    assert script.index("// low.js") < script.index("// main.js")
    assert 'const { one, two } = $modules["low.js"];' in script
    assert '$modules["low.js"] = { one, two };' in script
    assert "export" not in script
    assert "import" not in script


def test_a_module_is_joined_once() -> None:
    script = bundle(
        {
            "main.js": 'import { a } from "./a.js";\nimport { b } from "./b.js";',
            "a.js": 'import { b } from "./b.js";\nexport const a = b;',
            "b.js": "export const b = 1;",
        },
        "main.js",
    )
    assert script.count("// b.js") == 1


@pytest.mark.parametrize(
    ("modules", "why"),
    [
        ({"main.js": 'import { a } from "./a.js";'}, "no such module"),
        ({"main.js": 'import { a } from "./a.js";', "a.js": ""}, "does not export a"),
        ({"main.js": 'import { m } from "./main.js";'}, "imports itself"),
        ({"main.js": 'import all from "./a.js";', "a.js": ""}, "not understood"),
        ({"main.js": "export default 1;"}, "not understood"),
        ({"main.js": "export { a };"}, "not understood"),
    ],
)
def test_what_cannot_be_joined_is_refused(modules: dict[str, str], why: str) -> None:
    with pytest.raises(BundleError, match=why):
        bundle(modules, "main.js")


def test_every_module_of_the_page_is_used() -> None:
    script = files.site().files[files.SCRIPT]
    joined = set(re.findall(r"^// ([\w.]+\.js)$", script, re.MULTILINE))
    assert joined == {path.name for path in files.STATIC.glob("*.js")}


def test_no_text_becomes_markup_and_no_address_holds_the_key() -> None:
    script = files.site().files[files.SCRIPT]
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert forbidden not in script
    markup = files.site().index
    assert " style=" not in markup
    assert not re.search(r"\son\w+=", markup)
    assert not re.search(r"<script(?![^>]*\bsrc=)", markup)


def test_the_page(context: FakeContext) -> None:
    answer = call("GET", "/", key=None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<meta name="api" content="/api">' in answer.body
    assert "{{" not in answer.body
    rules = dict(
        rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; ")
    )
    bucket = f"https://{context.settings.names.in_bucket}.s3.eu-central-1.amazonaws.com"
    assert rules["connect-src"] == f"'self' {bucket}"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["frame-ancestors"] == rules["trusted-types"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_its_files_may_be_kept_for_ever(context: FakeContext) -> None:
    page = call("GET", "/", key=None).body
    found = re.findall(r'(?:href|src)="/api(/page/[^"]+)"', page)
    assert len(found) == 3
    for address in found:
        answer = call("GET", address, key=None)
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"].split(";")[0] in (
            "text/css",
            "text/javascript",
            "image/svg+xml",
        )


def test_a_file_of_another_version_is_not_kept(context: FakeContext) -> None:
    answer = call("GET", "/page/000000000000/page.js", key=None)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["index.html", "main.js", "files.py", "..", "%2e%2e%2ffiles.py"])
def test_nothing_else_is_sent(context: FakeContext, name: str) -> None:
    answer = call("GET", f"/page/{files.site().version}/{name}", key=None)
    assert answer.status == 404
    assert answer.json["code"] == "unknown_route"


def test_an_address_in_the_page_is_escaped() -> None:
    page = files.index('https://x/"><script>alert(1)</script>', "https://bucket.test/")
    assert "<script>alert" not in page.body
