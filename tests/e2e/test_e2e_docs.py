"""Every block of the pages that can be run is run, page by page, on the local stack."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.blocks import ROOT, pages, runnable
from local_stack.stack import LocalStack

pytestmark = pytest.mark.weights

RUN = [page for page in pages() if "docs" in page.parts and runnable(page)]


@pytest.fixture(scope="session")
def shell_environment(
    stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What `source .local/env` and the PATH of the pages give."""
    home = tmp_path_factory.mktemp("home")
    tools = home / "bin"
    tools.mkdir()
    (tools / "python").symlink_to(sys.executable)
    if shutil.which("faces", path=str(Path(sys.executable).parent)) is None:
        script = tools / "faces"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m faces.client.command "$@"\n')
        script.chmod(0o755)
    return {
        **stack.client_environment(),
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(tools), os.environ["PATH"]]),
        "NO_PROXY": "127.0.0.1",
    }


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in RUN])
def test_the_blocks_of_a_page_run(
    page: Path, shell_environment: dict[str, str], tmp_path: Path
) -> None:
    """One shell for all blocks of bash, one interpreter for all of python, in their order."""
    python = "\n".join(block.text for block in runnable(page) if block.language == "python")
    bash: list[str] = ["set -euo pipefail"]
    for block in runnable(page):
        if block.language == "bash":
            bash += [f"echo '--- {number}'" for number in [len(bash)]] + [block.text]
        elif "python page.py" not in bash:
            bash.append("python page.py")
    (tmp_path / "page.py").write_text(python, "utf-8")
    done = subprocess.run(
        ["bash", "-c", "\n".join(bash)],
        cwd=tmp_path,
        env=shell_environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for expected in EXPECTED.get(page.stem, ()):
        assert expected in done.stdout, done.stdout


EXPECTED = {
    "tutorial": ["(unknown)", "Eileen Collins", "(no face)", "person.delete", "eileen-2.jpg"],
    "folders": ["exit code 6", "4", "coffee.png"],
    "people": ["exit code 5", "Eileen M. Collins", "0.001"],
    "python": ["Eileen Collins Eileen Collins", "not_an_image", "refused:"],
    "operate": ["Fleet", "door camera", "requests_per_s"],
}
