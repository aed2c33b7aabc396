"""Credentials that the AWS SDK finds and that are renewed before they end."""

import stat
from pathlib import Path

import botocore.session
import pytest

from local_stack.credentials import WorkerCredentials

HOUR = 3600.0


class Sessions:
    """Hands out sessions that are told apart by their number."""

    number = 0

    def __call__(self) -> dict[str, str]:
        self.number += 1
        return {
            "AWS_ACCESS_KEY_ID": f"key-{self.number}",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "token",
        }


@pytest.mark.parametrize(("hours", "made"), [(0, 1), (3.9, 1), (4, 2), (100, 2)])
def test_they_are_renewed_long_before_they_end(tmp_path: Path, hours: float, made: int) -> None:
    now = [0.0]
    sessions = Sessions()
    credentials = WorkerCredentials(tmp_path, sessions, clock=lambda: now[0])
    credentials.renew()
    now[0] = hours * HOUR
    credentials.renew()
    assert sessions.number == made


def test_a_renewal_that_fails_is_tried_again(tmp_path: Path) -> None:
    sessions = Sessions()

    def away() -> dict[str, str]:
        raise OSError

    credentials = WorkerCredentials(tmp_path, away)
    with pytest.raises(OSError):
        credentials.renew()
    credentials._make = sessions
    credentials.renew()
    assert sessions.number == 1


def test_the_sdk_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "with a space"
    credentials = WorkerCredentials(folder, Sessions())
    credentials.renew()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in credentials.environment().items():
        monkeypatch.setenv(name, value)
    found = botocore.session.Session().get_credentials()
    assert found is not None
    assert found.method == "custom-process"
    assert found.get_frozen_credentials().access_key == "key-1"


def test_only_the_owner_reads_them(tmp_path: Path) -> None:
    WorkerCredentials(tmp_path, Sessions()).renew()
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
