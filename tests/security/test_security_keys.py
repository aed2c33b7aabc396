"""How long a key is looked at tells nothing of the keys that are right.

A clock in a test would measure the machine. What is tested is what makes the time depend
on a secret: that keys are compared as digests, whole, and that nothing else sees them.
"""

import hashlib
import hmac
from collections.abc import Callable

import pytest

from chalice_app import auth
from faces.contracts.errors import FacesError
from faces.contracts.ids import check_job_id, new_id, new_job_id
from faces.contracts.keys import NewKey, Scope
from faces.gallery.database import KeptConnection
from faces.gallery.keys import KeyStore
from tests.unit.chalice_app.fakes import KEY, NOW, FakeKeys

DIGEST = hashlib.sha256(KEY.encode()).hexdigest()


class Watched(str):
    """A text that must not be compared character by character."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared in a time that depends on it")

    def __hash__(self) -> int:
        return super().__hash__()

    def startswith(self, *_: object) -> bool:
        raise AssertionError("compared in a time that depends on it")


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The lengths of all that was compared in constant time."""
    seen: list[tuple[int, int]] = []
    stock: Callable[..., bool] = hmac.compare_digest

    def compare(one: str | bytes, other: str | bytes) -> bool:
        seen.append((len(one), len(other)))
        return stock(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    return seen


@pytest.mark.parametrize("given", [KEY, KEY[:-1] + "x", "x" + KEY[1:], "x", "x" * 5000, "\udcff"])
def test_the_stacks_own_key_is_compared_by_its_digest_in_constant_time(
    compared: list[tuple[int, int]], given: str
) -> None:
    headers = {auth.API_KEY_HEADER: Watched(given)}
    if given == KEY:
        assert auth.authenticate(headers, Watched(DIGEST), FakeKeys).is_root
    else:
        with pytest.raises(FacesError, match="unauthenticated"):
            auth.authenticate(headers, Watched(DIGEST), FakeKeys)
    # The same comparison whatever was given: digest against digest.
    assert compared == [(64, 64)]


def test_the_signature_of_a_job_id_is_compared_in_constant_time(
    compared: list[tuple[int, int]],
) -> None:
    assert check_job_id(new_job_id(b"s", "t", NOW), b"s", "t")
    with pytest.raises(FacesError):
        check_job_id(new_id(), b"s", "t")
    assert compared == [(5, 5), (5, 5)]


def test_keys_are_kept_and_looked_up_as_digests_only() -> None:
    looked_up: list[str] = []

    class Rows:
        def admit(self, key: str) -> None:
            looked_up.append(auth.key_sha256(key))

    with pytest.raises(FacesError):
        auth.authenticate({auth.API_KEY_HEADER: "a guess"}, DIGEST, Rows)
    assert looked_up == [hashlib.sha256(b"a guess").hexdigest()]


def changed(key: str, place: int) -> str:
    """Return a key that differs in one character of its secret."""
    return key[:place] + ("B" if key[place] == "A" else "A") + key[place + 1 :]


def test_a_tenants_key_is_compared_by_its_digest_in_constant_time(
    database_url: str, compared: list[tuple[int, int]]
) -> None:
    connections = KeptConnection(database_url)
    store = KeyStore(connections, lambda: NOW)
    made = store.create("acme", NewKey(name="n", scopes=(Scope.READ,)), actor="root").key
    secret = made.index("_", len("ef_")) + 1
    guesses = [changed(made, len(made) - 1), changed(made, secret), changed(made, secret + 20)]
    assert [store.admit(each) for each in guesses] == [None] * 3
    admitted = store.admit(made)
    assert admitted is not None
    assert admitted[0] == "acme"
    assert compared == [(64, 64)] * 4
    # What is none by its form, or begins otherwise, is compared with nothing.
    other = made.replace(made[3], "1" if made[3] == "0" else "0", 1)
    assert [store.admit(each) for each in (made[:-1], other, "")] == [None] * 3
    assert len(compared) == 4
    connections.close()
