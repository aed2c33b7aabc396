"""Lets the site read our docstrings: `name : what it is`, where numpy has `name : type`."""

import re
from typing import Any

import griffe

_ITEM = re.compile(r"^(\w[\w, ]*?) : (.*)$")


class DescriptionsNotTypes(griffe.Extension):
    """Puts what a parameter is under its name, where the parser looks for it."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite an object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(docstring: str) -> str:
    """Return a docstring whose items have their descriptions below their names.

    Names that share a description get it each: the parser would give all the first one's type.
    """
    lines: list[str] = []
    names: list[str] = []
    described: list[str] = []

    def end() -> None:
        for name in names:
            lines.extend([name, *described])
        names.clear()

    inside = False
    before = ""
    for line in docstring.splitlines():
        if re.fullmatch(r"-{3,}", line.strip()):
            inside = before.strip() in ("Parameters", "Attributes")
        found = _ITEM.match(line) if inside else None
        if found:
            end()
            names[:] = found[1].split(", ")
            described[:] = [f"    {found[2]}"]
        elif names and line.startswith("    "):
            described.append(line)
        else:
            end()
            lines.append(line)
        before = line
    end()
    return "\n".join(lines)
