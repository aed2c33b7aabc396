"""`faces login`, `faces logout`, `faces status`."""

import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from faces.client.command.credentials import Login
from faces.client.command.exits import CommandError, ExitCode
from faces.client.command.output import show
from faces.client.command.session import FormatOption, Session, session
from faces.client.connection import DEFAULT_URL
from faces.client.errors import ApiError

_THIS_COMPUTER = {"127.0.0.1", "localhost", "::1"}


def login(
    context: typer.Context,
    url: Annotated[str | None, typer.Option("--url", help="Address of the service.")] = None,
    key_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read the API key from standard input.")
    ] = False,
) -> None:
    """Keep the service's address and an API key for the next commands.

    The key is asked for, or read from standard input; never given as an argument, which
    others on this computer could read.
    """
    here = session(context)
    if url is None:
        asked = here.environ.get("FACES_URL") or DEFAULT_URL
        url = asked if key_stdin else typer.prompt("Address", default=asked, err=True)
    url = url.rstrip("/")
    _check_address(url)
    key = sys.stdin.readline().strip() if key_stdin else _prompt()
    if not key:
        raise CommandError("no key was given", "Give the key that was made for you.")
    _check_key(here, url, key)
    here.credentials.store(here.profile, Login(url, key))
    here.note(f"Logged in to {url}. The key is in {here.credentials.path}, for you alone.")


def logout(context: typer.Context) -> None:
    """Forget address and key."""
    here = session(context)
    was_there = here.credentials.forget(here.profile)
    here.note("Forgotten; the key itself still works." if was_there else "Nothing was stored.")


def status(context: typer.Context, chosen: FormatOption = None) -> None:
    """Show which service is asked, and whether it and the key are well."""
    here = session(context)
    found = here.credentials.login(here.profile)
    with here.client() as client:
        health = client.health()
        key = "none"
        if found.api_key:
            key = "accepted" if _accepted(here, found.url, found.api_key) else "refused"
    show(here, chosen, [{"url": found.url, "key": key, **health}], ("url", "key", *health))
    if key != "accepted":
        raise CommandError(
            f"the key for {found.url} is {'missing' if key == 'none' else 'refused'}",
            "Run `faces login`, or set FACES_URL and FACES_API_KEY.",
            ExitCode.NOT_ALLOWED,
        )


def _prompt() -> str:
    return str(typer.prompt("API key", hide_input=True, err=True)).strip()


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError(f"{url!r} is no address", "Give one like https://faces.example.org.")
    if parts.scheme == "http" and parts.hostname not in _THIS_COMPUTER:
        raise CommandError(
            "over http everybody on the way could read key and photos",
            "Use the service's https address.",
        )


def _check_key(here: Session, url: str, key: str) -> None:
    if not _accepted(here, url, key):
        raise CommandError(
            f"{url} does not know this key",
            "Check that the key is whole and for this service; nothing was stored.",
            ExitCode.NOT_ALLOWED,
        )


def _accepted(here: Session, url: str, key: str) -> bool:
    """Whether the service knows a key; one that may do little is known too."""
    with here.client(url=url, api_key=key) as client:
        client.health()
        try:
            client.manage.collections()
        except ApiError as error:
            return error.status != 401
    return True
