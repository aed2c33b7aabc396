"""The photos that a command was given: files, and folders with all that is below them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from faces.client.bulk import SUFFIXES
from faces.client.command.exits import CommandError, ExitCode


def photos_of(given: Iterable[Path]) -> list[Path]:
    """Return the photos, each once; a file that was named is taken whatever its suffix.

    Raises
    ------
    CommandError
        When something is not there, or nothing is a photo.
    """
    found: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            found.update(dict.fromkeys(_below(path)))
        elif path.exists():
            found[path] = None
        else:
            raise CommandError(
                f"{path}: No such file or folder",
                "Check the path; a pattern in quotes is not expanded by the shell.",
                ExitCode.NOT_FOUND,
            )
    if not found:
        raise CommandError(
            "there is no photo here",
            f"Photos end in {', '.join(sorted(SUFFIXES))}; folders are searched with all below.",
            ExitCode.NOT_FOUND,
        )
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        folders[:] = [each for each in folders if not each.startswith(".")]
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield Path(place) / name
