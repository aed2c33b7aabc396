"""What every command has at hand: the client, where to print, the environment."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import httpx
import typer
from rich.console import Console

from faces.client.command.credentials import Credentials
from faces.client.errors import ClientError
from faces.client.polling import PollPolicy
from faces.client.retry import RetryPolicy
from faces.client.sync import Client


class Format(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


@dataclass
class Session:
    """One command's surroundings; tests hand in their own.

    Attributes
    ----------
    profile : as given with `--profile`.
    out, notes : what was asked for, and all else (progress, errors).
    """

    profile: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    out: Console = field(default_factory=lambda: Console(soft_wrap=True))
    notes: Console = field(default_factory=lambda: Console(stderr=True, soft_wrap=True))

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.environ)

    def client(self, *, url: str | None = None, api_key: str | None = None) -> Client:
        """Return a client for the profile, or for an address and a key."""
        if url is None or api_key is None:
            login = self.credentials.login(self.profile)
            url, api_key = login.url, login.api_key
        return Client(
            url,
            api_key,
            transport=self.transport,
            sleep=self.sleep,
            clock=self.clock,
            retry=RetryPolicy(),
            poll=PollPolicy(),
        )

    def format(self, given: Format | None) -> Format:
        """Return how to print: as asked, else a table for people and JSON lines for programs."""
        return given or (Format.TABLE if self.out.is_terminal else Format.JSONL)

    def note(self, text: str) -> None:
        """Tell a person something beside the answer."""
        self.notes.print(text, markup=False, highlight=False)


def session(context: typer.Context) -> Session:
    """Return the session of a command."""
    found = context.find_object(Session)
    assert found is not None, "the callback of the application makes one"
    return found


def complete_collection(context: typer.Context, incomplete: str) -> list[str]:
    """Return the collections that begin so, for the shell's completion."""
    with contextlib.suppress(ClientError, OSError), Session().client() as client:
        names = [each.collection for each in client.manage.collections()]
        return [name for name in names if name.startswith(incomplete)]
    return []


CollectionOption = Annotated[
    str,
    typer.Option(
        "--collection",
        "-c",
        envvar="FACES_COLLECTION",
        help="Collection of people.",
        autocompletion=complete_collection,
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", "-f", help="Table, JSON lines or CSV; JSON lines where nobody watches."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to do it.")]


def confirmed(session: Session, question: str, yes: bool) -> None:
    """Ask before something is lost; without a terminal, `--yes` is needed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here; give --yes to do it")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


@contextlib.contextmanager
def opened(context: typer.Context) -> Iterator[tuple[Session, Client]]:
    """Give a command its session and a client."""
    found = session(context)
    with found.client() as client:
        yield found, client
