"""The fenced blocks of the pages: what the tests run, or check where they cannot run it.

A comment right above a block says that it is not run, and why::

    <!-- not run: needs an AWS account -->
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]*?) -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes
    ----------
    language : `bash`, `python`, ...; empty where none is said.
    not_run : why the tests do not run it; None where they do.
    """

    language: str
    text: str
    not_run: str | None = None


def pages() -> list[Path]:
    """Return the pages that people read: the README and all below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return a page's blocks in their order."""
    found = _BLOCK.finditer(page.read_text("utf-8"))
    return [Block(each["language"], each["text"], each["why"]) for each in found]


def runnable(page: Path) -> list[Block]:
    """Return the blocks of a page that the tests run."""
    return [
        block
        for block in blocks(page)
        if block.language in ("bash", "python") and block.not_run is None
    ]


def commands(block: Block) -> list[str]:
    """Return the commands of a block of bash, joined where a line goes on."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
