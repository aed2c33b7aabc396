"""`make audit`: a list of all that is inside (SBOM), and what is known against it.

Writes `.local/sbom.json` (CycloneDX) from the exact versions that everything is tested
with, those of the emulator's and the scanner's own environments included, and asks pip-audit
about each. What cannot be looked up is counted and said, as is that nothing could be, without
a network for one; only a known vulnerability is a failure.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ROOT / "requirements" / "constraints.txt"
"""Of what is installed together."""

OTHERS = (
    ROOT / "requirements" / "emulator.txt",
    *sorted((ROOT / "requirements" / "tools").glob("*.txt")),
)
"""Of what is installed apart."""

SBOM = ROOT / ".local" / "sbom.json"
_ALL = ROOT / ".local" / "versions.txt"
_SECONDS = 90


def known(document: dict[str, Any]) -> tuple[list[str], int, int]:
    """Return pip-audit's findings in words, how many it looked up, and how many it could not."""
    findings, asked, unknown = [], 0, 0
    for package in document["dependencies"]:
        if "skip_reason" in package:
            unknown += 1
            continue
        asked += 1
        for each in package["vulns"]:
            fixed = ", ".join(each.get("fix_versions", ())) or "no version"
            findings.append(
                f"{package['name']} {package['version']}: {each['id']}, mended in {fixed}"
            )
    return findings, asked, unknown


def pins() -> list[str]:
    """Return every version that is installed anywhere, as `name==version`."""
    return sorted(
        {
            match[0]
            for file in (VERSIONS, *OTHERS)
            for line in file.read_text().splitlines()
            if (match := re.match(r"[A-Za-z0-9._-]+(\[[^]]*\])?==[^\s;]+", line))
        }
    )


def make_sbom() -> int:
    """Write the SBOM; return how many components it names."""
    SBOM.parent.mkdir(exist_ok=True)
    _ALL.write_text("\n".join(pins()) + "\n")
    command = [str(Path(sys.executable).with_name("cyclonedx-py")), "requirements", str(_ALL)]
    subprocess.run([*command, "--output-reproducible", "-o", str(SBOM)], check=True)
    return len(json.loads(SBOM.read_text())["components"])


def look_up(file: Path) -> tuple[dict[str, Any], str]:
    """Return what pip-audit answers about the pins of a file, and what it complains of."""
    command = [sys.executable, "-m", "pip_audit", "--timeout", "5", "--progress-spinner", "off"]
    try:
        done = subprocess.run(
            [*command, "--no-deps", "--disable-pip", "-r", str(file), "-f", "json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        return json.loads(done.stdout), done.stderr
    except subprocess.TimeoutExpired:
        return {"dependencies": []}, "it did not answer in time"
    except ValueError:
        return {"dependencies": []}, done.stderr


def main() -> int:
    sys.stdout.write(f"{SBOM.relative_to(ROOT)}: {make_sbom()} components\n")
    failures = []
    # Apart, since environments have different versions of the same package.
    for file in (VERSIONS, *OTHERS):
        answer, complaint = look_up(file)
        findings, asked, unknown = known(answer)
        name = file.relative_to(ROOT)
        if asked:
            sys.stdout.write(f"pip-audit, {name}: {asked} looked up, {unknown} could not be\n")
        else:
            last = complaint.strip().splitlines()[-1:] if not unknown else []
            why = last[0][-200:] if last else f"none of {unknown} found; no network?"
            sys.stdout.write(f"skipped, {name}: nothing could be looked up: {why}\n")
        failures += findings
    for each in failures:
        sys.stdout.write(f"VULNERABLE {each}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
