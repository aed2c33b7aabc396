"""What the site adds to the pages (a hook of mkdocs): the list of decisions."""

from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return a page's text; the decisions' has a link to each."""
    if page.file.src_uri != "decisions/index.md":
        return markdown
    return markdown + "\n".join(decisions()) + "\n"


def decisions() -> list[str]:
    """Return a line for each decision: its heading, with a link."""
    files = sorted((_HERE / "decisions").glob("[0-9]*.md"))
    titles = (file.read_text("utf-8").splitlines()[0].removeprefix("# ") for file in files)
    return [f"- [{title}]({file.name})" for file, title in zip(files, titles, strict=True)]
