"""Texts that people read, and that databases and pages show."""

from pydantic import AfterValidator


def one_line(text: str) -> str:
    """Return `text` without outer blanks; refuse what no database or page can show.

    Raises
    ------
    ValueError
        When nothing is left, or it holds control characters.
    """
    stripped = text.strip()
    if not stripped or not stripped.isprintable():
        raise ValueError("must hold visible text without control characters")
    return stripped


Line = AfterValidator(one_line)
