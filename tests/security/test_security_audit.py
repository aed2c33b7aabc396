"""What pip-audit says is understood, and every version that is tested with is listed."""

import re

from tests.security.audit import ROOT, VERSIONS, known, pins


def test_a_known_vulnerability_is_found_and_what_is_unknown_is_counted() -> None:
    document = {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {"name": "hidden", "skip_reason": "not found"},
            {
                "name": "bad",
                "version": "2",
                "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}, {"id": "CVE-2"}],
            },
        ]
    }
    findings, asked, unknown = known(document)
    assert findings == ["bad 2: CVE-1, mended in 2.1", "bad 2: CVE-2, mended in no version"]
    assert (asked, unknown) == (2, 1)


def test_every_requirement_is_pinned_in_the_list_that_is_audited() -> None:
    def name(text: str) -> str:
        return re.sub(r"[-_.]+", "-", text).lower()

    listed = {
        name(line.split("==")[0]) for line in VERSIONS.read_text().splitlines() if "==" in line
    }
    folder = VERSIONS.parent
    asked = {
        name(match[1])
        for file in (
            *(folder / f"{name}.txt" for name in ("dev", "local", "worker", "worker-nodeps")),
            ROOT / "requirements.txt",
        )
        for line in file.read_text().splitlines()
        if (match := re.match(r"([A-Za-z0-9._-]+)(\[.*\])?==", line))
    }
    assert len(asked) > 25
    assert asked - listed == set()


def test_the_tools_that_are_installed_apart_are_audited_too() -> None:
    names = {pin.split("==")[0].split("[")[0] for pin in pins()}
    assert {"ministack", "checkov", "torch", "facenet-pytorch"} <= names
    assert all("==" in pin and " " not in pin for pin in pins())
