"""Write `docs/settings.md` from the settings that the code reads.

python -m docs.settings_table            # write it
python -m docs.settings_table --check    # exit code 1 when it is out of date
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import annotated_types as limits
from pydantic.fields import FieldInfo

from faces.contracts import settings as contract
from faces.contracts.scaler_settings import ScalerSettings
from faces.contracts.scaler_tuning import ScalerTuning
from faces.contracts.worker_settings import WorkerSettings
from local_stack.settings import ROOT, LocalSettings

FILE = ROOT / "docs" / "settings.md"

USERS: dict[type[contract.Settings], str] = {
    contract.StackSettings: "all",
    contract.DatabaseSettings: "API, worker",
    contract.PhotoSettings: "API, worker",
    contract.ApiSettings: "API",
    WorkerSettings: "worker",
    ScalerSettings: "scaler",
    ScalerTuning: "scaler",
    LocalSettings: "local stack",
}

HEAD = """\
# Settings

Every process reads its settings once, from its environment, and stops at its start with
an error that names the variable when one is wrong. An empty variable counts as not set.

`make up` and `make demo` hand on to Lambdas and workers what is set in their environment:

```
SCALER_MIN_INSTANCES=2 WORKER_IDLE_SECONDS=60 make up
```

This file is written by `make docs`; a test compares it with the code.

"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    variable: str
    default: str
    allowed: str
    users: str
    description: str


# Read without a settings object: by clients, tests, the installer and make.
PLAIN = (
    Row("FACES_URL", "http://127.0.0.1:8000", "", "client", "Address of the service"),
    Row("FACES_API_KEY", "", "", "client", "API key that the client sends as X-Api-Key"),
    Row("FACES_PROFILE", "default", "", "command", "Which login of `faces login` is used"),
    Row(
        "FACES_TEST_DATA",
        "",
        "",
        "demo, tests",
        "Folder with lfw-dev/ and photos/; what needs them is skipped without it",
    ),
    Row(
        "FACES_TORCH",
        "",
        "`default`",
        "installer",
        "`default` installs torch as pip is configured, not PyTorch's CPU build",
    ),
    Row("PYTHON", "python3", "", "make", "Python from which make makes the environments"),
)


def rows() -> list[Row]:
    """Return a row for each setting, by name; equal ones of several parts are one row."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for row in [*_declared(), *PLAIN]:
        key = (row.variable, row.default, row.allowed, row.description)
        found.setdefault(key, []).append(row.users)
    return [
        Row(variable, default, allowed, ", ".join(users), description)
        for (variable, default, allowed, description), users in sorted(found.items())
    ]


def render() -> str:
    """Return the text of `docs/settings.md`."""
    lines = ["| variable | default | allowed | read by | meaning |", "|---|---|---|---|---|"]
    for row in rows():
        default = f"`{row.default}`" if row.default else ""
        cells = (f"`{row.variable}`", default, row.allowed, row.users, row.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD + "\n".join(lines) + "\n"


def _declared() -> Iterator[Row]:
    for owner, users in USERS.items():
        for name in owner.__annotations__:
            field = owner.model_fields.get(name)
            if field is not None and field.alias is not None:
                yield Row(
                    field.alias, _default(field), _allowed(field), users, field.description or ""
                )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(needed)"
    value = field.get_default()
    if isinstance(value, Path):
        return value.relative_to(ROOT).as_posix()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _allowed(field: FieldInfo) -> str:
    """Return the field's limits in words."""
    least = most = ""
    for rule in field.metadata:
        match rule:
            case limits.Ge(ge=bound):
                least = f"from {bound}"
            case limits.Gt(gt=bound):
                least = f"above {bound}"
            case limits.Le(le=bound):
                most = f"to {bound}"
    return f"{least} {most}".strip() or _choices(field)


def _choices(field: FieldInfo) -> str:
    """Return the words of a pattern that only lists words."""
    for rule in field.metadata:
        found = re.fullmatch(r"\^\((\w+(?:\|\w+)+)\)\$", getattr(rule, "pattern", None) or "")
        if found:
            return ", ".join(f"`{word}`" for word in found.group(1).split("|"))
    return ""


def main(arguments: list[str]) -> int:
    """Write or check the file; return the exit code."""
    if arguments == ["--check"]:
        if FILE.exists() and FILE.read_text() == render():
            return 0
        sys.stderr.write("docs/settings.md is out of date: run make docs\n")
        return 1
    FILE.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
