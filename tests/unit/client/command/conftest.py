"""The command against an office in memory."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from faces.client.command.application import app
from faces.client.command.session import Session
from tests.unit.client.fake_office import KEY, FakeOffice
from tests.unit.client.fake_service import API

JPEG = b"\xff\xd8\xff\xe0 photo"


@dataclass
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    notes: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Shell:
    """Runs `faces` as a person does, with a home of its own.

    Attributes
    ----------
    watched : whether a terminal is there to be looked at.
    """

    office: FakeOffice
    environ: dict[str, str]
    watched: bool = False
    width: int = 200
    now: float = 0.0
    slept: list[float] = field(default_factory=list)
    on_sleep: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep()

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> Said:
        out, notes = io.StringIO(), io.StringIO()
        session = Session(
            environ=self.environ,
            transport=self.office.transport,
            sleep=self.sleep,
            clock=lambda: self.now,
            out=Console(file=out, force_terminal=self.watched, width=self.width),
            notes=Console(file=notes, force_terminal=self.watched, width=120),
        )
        done = CliRunner().invoke(
            app, [str(each) for each in arguments], obj=session, input=stdin, env=self.environ
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(done.exit_code, out.getvalue(), notes.getvalue() + done.output)


@pytest.fixture
def office() -> FakeOffice:
    return FakeOffice()


@pytest.fixture
def shell(office: FakeOffice, tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(office, {"HOME": str(home), "FACES_URL": API, "FACES_API_KEY": KEY})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with five photos, one of which is none, and a note."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("a.jpg", "b.JPG", "more/c.jpeg", "more/a.jpg"):
        (folder / name).write_bytes(JPEG + name.encode())
    (folder / "d.png").write_bytes(b"not a photo")
    (folder / "note.txt").write_text("no photo")
    return folder
