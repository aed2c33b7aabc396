"""Where the command keeps addresses and keys: one file, for its owner alone.

`$XDG_CONFIG_HOME/faces/credentials.json` (XDG Base Directory Specification 0.8), mode 0600,
written whole or not at all. The environment goes before it: FACES_URL and FACES_API_KEY.
A stored key is only ever sent to the address that it was stored with.
"""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faces.client.command.exits import CommandError, ExitCode
from faces.client.connection import DEFAULT_URL

DEFAULT_PROFILE = "default"


@dataclass(frozen=True)
class Login:
    """An address and the key for it."""

    url: str
    api_key: str = field(repr=False)


class Credentials:
    """The file of logins, by profile."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.path = folder(environ, "XDG_CONFIG_HOME", ".config") / "credentials.json"

    def login(self, profile: str | None) -> Login:
        """Return what to use: the environment's, else what is stored for the profile.

        Raises
        ------
        CommandError
            When a profile was asked for that is not stored, or the file cannot be read.
        """
        asked = profile or self._environ.get("FACES_PROFILE")
        stored = self.stored().get(asked or DEFAULT_PROFILE)
        if asked and stored is None:
            raise CommandError(
                f"nothing is stored for the profile {asked!r}",
                f"Run `faces --profile {asked} login`.",
                ExitCode.NOT_ALLOWED,
            )
        if profile and stored:
            return stored
        url = (self._environ.get("FACES_URL") or (stored.url if stored else DEFAULT_URL)).rstrip(
            "/"
        )
        key = self._environ.get("FACES_API_KEY") or ""
        if not key and stored is not None and stored.url == url:
            key = stored.api_key
        return Login(url, key)

    def stored(self) -> dict[str, Login]:
        """Return all logins of the file, by profile."""
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return {}
        if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
            raise CommandError(
                f"{self.path} can be read by others",
                f"Run `chmod 600 {self.path}`; if others had access, revoke the key.",
                ExitCode.NOT_ALLOWED,
            )
        try:
            return {
                name: Login(each["url"], each["api_key"])
                for name, each in json.loads(text)["profiles"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CommandError(
                f"{self.path} is damaged", "Delete it and run `faces login`."
            ) from None

    def store(self, profile: str | None, login: Login) -> None:
        """Keep a login."""
        self._write({**self.stored(), profile or self._default: login})

    def forget(self, profile: str | None) -> bool:
        """Drop a login; return whether there was one."""
        stored = self.stored()
        was_there = stored.pop(profile or self._default, None) is not None
        if was_there:
            self._write(stored)
        return was_there

    @property
    def _default(self) -> str:
        return self._environ.get("FACES_PROFILE") or DEFAULT_PROFILE

    def _write(self, logins: Mapping[str, Login]) -> None:
        document = {
            "profiles": {
                name: {"url": each.url, "api_key": each.api_key} for name, each in logins.items()
            }
        }
        write_private(self.path, json.dumps(document, indent=2) + "\n")


def folder(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """Return this command's folder of an XDG kind; relative values are ignored, as it says."""
    base = Path(environ.get(variable) or "")
    if not base.is_absolute():
        base = Path(environ.get("HOME") or Path.home()) / default
    return base / "faces"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; it is never half there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
