"""What a long command has done so far, so that it goes on where it stopped.

A file of JSON lines a command (its address, its options and its photos), for its owner
alone, because it holds answers about people; it goes when everything has been answered, or
when nobody has gone on for 30 days.
A photo's job is written down before the photo is sent, so that what was sent is asked for by
its job, not sent again: an enrolment is never done twice.
"""

import fcntl
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from faces.client.command.credentials import folder
from faces.client.command.exits import CommandError

_KEPT_SECONDS = 30 * 86_400


@dataclass(frozen=True)
class Known:
    """What is known of a photo: its job, and the answer once it was there."""

    job_id: str | None = None
    answer: Mapping[str, Any] | None = None


class Journal:
    """The journal of one command; only one process has it at a time."""

    def __init__(
        self, environ: Mapping[str, str], asked: Mapping[str, object], *, fresh: bool
    ) -> None:
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]
        self.path = folder(environ, "XDG_STATE_HOME", ".local/state") / "runs" / f"{key}.jsonl"
        self._fresh = fresh
        self._known: dict[str, Known] = {}

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for journal in self.path.parent.glob("*.jsonl"):
            if time.time() - journal.stat().st_mtime > _KEPT_SECONDS:
                journal.unlink(missing_ok=True)
        self.path.touch(mode=0o600)
        self._file = self.path.open("r+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise CommandError(
                "the same command is running already", "Wait for its end, or stop it first."
            ) from None
        if self._fresh:
            self._file.truncate(0)
        end = 0
        for line in self._file:
            if not line.endswith("\n"):
                break  # cut off when the computer went down; that photo is done again
            self._take(json.loads(line))
            end += len(line.encode())
        self._file.seek(end)
        self._file.truncate()
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        """How many photos are answered."""
        return sum(known.answer is not None for known in self._known.values())

    def known(self, photo: str) -> Known:
        """Return what is known of a photo; nothing where the file changed since."""
        return self._known.get(_mark(photo), Known())

    def opened(self, photo: str, job_id: str) -> None:
        """Remember for which job a photo will be sent."""
        self._add({"photo": _mark(photo), "job_id": job_id})

    def answered(self, photo: str, answer: Mapping[str, Any]) -> None:
        """Remember what became of a photo."""
        self._add({"photo": _mark(photo), "answer": answer})

    def done(self) -> None:
        """Everything is answered: nothing has to be remembered."""
        self.path.unlink(missing_ok=True)

    def _add(self, line: Mapping[str, Any]) -> None:
        self._take(line)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def _take(self, line: Mapping[str, Any]) -> None:
        before = self._known.get(line["photo"], Known())
        if "answer" in line:
            self._known[line["photo"]] = Known(before.job_id, line["answer"])
        else:
            self._known[line["photo"]] = Known(line["job_id"])


def _mark(photo: str) -> str:
    """Return what stands for a file as it is now."""
    try:
        found = Path(photo).stat()
    except OSError:
        return photo
    return f"{photo}\0{found.st_size}\0{found.st_mtime_ns}"
