"""`make audit`: a list of all that is inside (SBOM), and what is known against it.

Writes `.local/sbom.json` (CycloneDX) from the exact versions that everything is tested
with, and asks pip-audit about each. What cannot be looked up is counted and said, as is
that nothing could be, without a network for one; only a known vulnerability is a failure.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ROOT / "requirements" / "constraints.txt"
SBOM = ROOT / ".local" / "sbom.json"
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


def make_sbom() -> int:
    """Write the SBOM; return how many components it names."""
    SBOM.parent.mkdir(exist_ok=True)
    command = [str(Path(sys.executable).with_name("cyclonedx-py")), "requirements", str(VERSIONS)]
    subprocess.run([*command, "--output-reproducible", "-o", str(SBOM)], check=True)
    return len(json.loads(SBOM.read_text())["components"])


def main() -> int:
    sys.stdout.write(f"{SBOM.relative_to(ROOT)}: {make_sbom()} components\n")
    command = [sys.executable, "-m", "pip_audit", "--timeout", "5", "--progress-spinner", "off"]
    try:
        done = subprocess.run(
            [*command, "--no-deps", "--disable-pip", "-r", str(VERSIONS), "-f", "json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        findings, asked, unknown = known(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        findings, asked, unknown = [], 0, 0
    if not asked:
        sys.stdout.write("skipped: the list of known vulnerabilities cannot be reached\n")
        return 0
    sys.stdout.write(f"pip-audit: {asked} looked up, {unknown} could not be\n")
    for each in findings:
        sys.stdout.write(f"VULNERABLE {each}\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
