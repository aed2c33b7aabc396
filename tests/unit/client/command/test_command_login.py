"""Where address and key come from, and who can read them."""

import json
from pathlib import Path

import pytest

from tests.unit.client.command.conftest import Shell
from tests.unit.client.fake_office import KEY

API = "https://faces.test"


@pytest.fixture
def stranger(shell: Shell) -> Shell:
    """A shell without a key."""
    del shell.environ["FACES_URL"], shell.environ["FACES_API_KEY"]
    return shell


def file_of(shell: Shell) -> Path:
    return Path(shell.environ["HOME"]) / ".config/faces/credentials.json"


def test_a_login_is_kept_for_its_owner_alone(stranger: Shell) -> None:
    said = stranger("login", "--url", API + "/", "--key-stdin", stdin=KEY + "\n")
    assert said.code == 0
    assert KEY not in said.notes + said.out
    file = file_of(stranger)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert json.loads(file.read_text())["profiles"]["default"]["url"] == API
    assert stranger("people", "list").code == 0


def test_the_key_is_asked_for_without_being_shown(stranger: Shell) -> None:
    said = stranger("login", stdin=f"{API}\n{KEY}\n")
    assert said.code == 0
    assert KEY not in said.notes


def test_a_refused_key_is_not_kept(stranger: Shell) -> None:
    said = stranger("login", "--url", API, "--key-stdin", stdin="wrong\n")
    assert said.code == 3
    assert "nothing was stored" in said.notes
    assert not file_of(stranger).exists()


def test_profiles_are_kept_apart(stranger: Shell) -> None:
    assert stranger("-p", "prod", "login", "--url", API, "--key-stdin", stdin=KEY).code == 0
    assert stranger("people", "list").code != 0
    assert stranger("--profile", "prod", "people", "list").code == 0
    stranger.environ["FACES_PROFILE"] = "prod"
    assert stranger("people", "list").code == 0
    said = stranger("--profile", "dev", "people", "list")
    assert said.code == 3
    assert "faces --profile dev login" in said.notes


def test_a_stored_key_goes_to_its_own_address_only(stranger: Shell) -> None:
    stranger("login", "--url", API, "--key-stdin", stdin=KEY)
    stranger.environ["FACES_URL"] = "http://127.0.0.1:9"
    stranger("people", "list")
    sent = stranger.office.requests[-1]
    assert (sent.url.host, sent.headers.get("X-Api-Key")) == ("127.0.0.1", "")


def test_the_environment_goes_first(shell: Shell) -> None:
    shell("login", "--url", API, "--key-stdin", stdin=KEY)
    shell.environ["FACES_API_KEY"] = "other"
    assert shell("people", "list").code == 3


@pytest.mark.parametrize(("damage", "advice"), [("chmod", "chmod 600"), ("text", "faces login")])
def test_a_file_that_cannot_be_trusted_is_not_used(
    stranger: Shell, damage: str, advice: str
) -> None:
    stranger("login", "--url", API, "--key-stdin", stdin=KEY)
    if damage == "chmod":
        file_of(stranger).chmod(0o644)
    else:
        file_of(stranger).write_text("{}")
    said = stranger("people", "list")
    assert said.code != 0
    assert advice in said.notes


@pytest.mark.parametrize("url", ["http://faces.example.org", "ftp://x", "faces"])
def test_a_key_is_never_sent_in_the_clear(stranger: Shell, url: str) -> None:
    said = stranger("login", "--url", url, "--key-stdin", stdin=KEY)
    assert said.code == 1
    assert stranger.office.requests == []


def test_status_says_whether_the_key_is_accepted(shell: Shell) -> None:
    assert (shell("status").code, shell("status").lines[0]["key"]) == (0, "accepted")
    shell.environ["FACES_API_KEY"] = "wrong"
    said = shell("status")
    assert (said.code, said.lines[0]["key"]) == (3, "refused")


def test_logout_forgets(stranger: Shell) -> None:
    stranger("login", "--url", API, "--key-stdin", stdin=KEY)
    assert stranger("logout").code == 0
    assert KEY not in file_of(stranger).read_text()
    assert "Nothing was stored" in stranger("logout").notes
