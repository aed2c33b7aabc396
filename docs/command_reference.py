"""Write docs/reference/command.md from the `faces` command: `python -m docs.command_reference`."""

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main

from faces.client.command.application import app
from faces.client.command.exits import MEANINGS

FILE = Path(__file__).parent / "reference" / "command.md"


def render() -> str:
    """Return the page."""
    return "\n".join(_page()).rstrip() + "\n"


def _page() -> Iterator[str]:
    root = typer.main.get_command(app)
    yield "# The command `faces`\n"
    yield "<!-- Made by `make docs` from the code; do not edit. -->\n"
    yield f"{root.help}\n"
    yield from _parameters(root)
    yield "## Exit codes\n\n| code | meaning |\n|---|---|"
    for code, meaning in MEANINGS.items():
        yield f"| {code.value} | {meaning} |"
    yield ""
    for name, command in _walk(root, "faces"):
        yield f"## `{name}`\n"
        yield f"{command.help}\n"
        yield from _parameters(command)


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for child, each in getattr(command, "commands", {}).items():
        path = f"{name} {child}"
        if getattr(each, "commands", None):
            yield from _walk(each, path)
        else:
            yield path, each


def _parameters(command: Any) -> Iterator[str]:
    rows = [each for each in command.params if each.name != "help"]
    if not rows:
        return
    yield "| argument or option | what |\n|---|---|"
    for each in rows:
        is_argument = each.param_type_name == "argument"
        names = (each.metavar or each.name) if is_argument else ", ".join(each.opts)
        names = names.replace("|", "\\|")
        told = [getattr(each, "help", None) or ""]
        if getattr(each, "envvar", None):
            told.append(f"`{each.envvar}` otherwise.")
        if isinstance(each.default, (str, int, float)) and not isinstance(each.default, bool):
            told.append(f"Default: {each.default}.")
        if isinstance(each.bare_type, type) and issubclass(each.bare_type, Enum):
            told.append("One of " + ", ".join(f"`{item.value}`" for item in each.bare_type) + ".")
        text = " ".join(filter(None, told)).replace("|", "\\|")
        yield f"| `{names}` | {text} |"
    yield ""


def main() -> None:
    if "--check" in sys.argv[1:]:
        sys.exit(FILE.read_text("utf-8") != render())
    FILE.write_text(render(), "utf-8")


if __name__ == "__main__":
    main()
