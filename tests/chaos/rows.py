"""Lines of the table that tests of the whole local stack write."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tests.chaos.accounting import Account, Ledger, account
from tests.chaos.fleet import ROOT
from tests.chaos.play import Outcome

WHERE = "FACES_CHAOS_ROWS"
"""The environment's name of the folder that lines are kept in; nothing is kept without."""

TESTS = ("tests/e2e/test_e2e_chaos.py", "tests/e2e/test_e2e_chaos_fleet.py")


def keep(outcome: Outcome, environ: Mapping[str, str] = os.environ) -> None:
    """Keep a line for the table."""
    if WHERE in environ:
        folder = Path(environ[WHERE])
        row = folder / f"{len(list(folder.iterdir()))}.json"
        row.write_text(json.dumps(asdict(outcome)))


def kept(folder: Path) -> list[Outcome]:
    """Return the lines that were kept, in order."""
    found = []
    for row in sorted(folder.iterdir(), key=lambda path: int(path.stem)):
        fields = json.loads(row.read_text())
        counted = fields.pop("account")
        counted["problems"] = tuple(counted["problems"])
        fields["noticed"] = tuple(fields["noticed"])
        found.append(Outcome(account=Account(**counted), **fields))
    return found


def whole_stack() -> list[Outcome]:
    """Run the long tests of the whole local stack; return their lines."""
    with tempfile.TemporaryDirectory(prefix="faces-chaos-rows-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *TESTS],
            cwd=ROOT,
            env={**os.environ, WHERE: folder, "FACES_TEST_CHAOS": "1"},
            stdout=sys.stderr,
            check=False,
        )
        rows = kept(Path(folder))
    if done.returncode:
        failed = "tests of the whole stack failed, see above"
        rows.append(Outcome(failed, account(Ledger()), 0.0, 0.0, (failed,)))
    return rows
