"""Who is asking: the X-Api-Key header against the stack's own key and the keys of tenants."""

import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.jobs import DEFAULT_TENANT
from faces.contracts.keys import ROOT_KEY, Scope

API_KEY_HEADER = "x-api-key"


@dataclass(frozen=True)
class Caller:
    """Whose key a request came with.

    Attributes
    ----------
    key_id : stands in the audit log; `ROOT_KEY` for the stack's own key.
    """

    tenant: str
    key_id: str
    scopes: frozenset[Scope]

    @property
    def is_root(self) -> bool:
        return self.key_id == ROOT_KEY

    def may(self, scopes: Collection[Scope]) -> bool:
        """Return whether the key has one of these scopes."""
        return Scope.ADMIN in self.scopes or not self.scopes.isdisjoint(scopes)

    def require(self, *scopes: Scope) -> None:
        """Raise FacesError `forbidden` when the key has none of these scopes."""
        if not self.may(scopes):
            needed = " or ".join(sorted(scopes))
            raise FacesError(
                ErrorCode.FORBIDDEN, f"This key has not the scope {needed}; use one that has."
            )


NOBODY = Caller(tenant="", key_id="", scopes=frozenset())
ROOT = Caller(tenant=DEFAULT_TENANT, key_id=ROOT_KEY, scopes=frozenset(Scope))


class Keys(Protocol):
    """The keys of tenants (`faces.gallery.keys.KeyStore`)."""

    def admit(self, key: str) -> tuple[str, str, frozenset[Scope]] | None:
        """Return tenant, id and scopes of a valid key, and take one token of its limit."""


def authenticate(headers: Mapping[str, str], root_sha256: str, keys: Callable[[], Keys]) -> Caller:
    """Return whose key a request came with.

    Parameters
    ----------
    headers : the request's headers; looking one up ignores case.
    root_sha256 : SHA-256 of the stack's own key in hex; empty when it has none.
    keys : called only for a key that is not the stack's own.

    Raises
    ------
    FacesError
        `unauthenticated` when the key is missing, wrong or revoked; `too_many_requests`.
    TransientError
        When a tenant's key cannot be looked up.
    """
    given = headers.get(API_KEY_HEADER, "")
    if root_sha256 and hmac.compare_digest(key_sha256(given), root_sha256):
        return ROOT
    admitted = keys().admit(given) if given else None
    if admitted is None:
        raise FacesError(ErrorCode.UNAUTHENTICATED)
    tenant, key_id, scopes = admitted
    return Caller(tenant=tenant, key_id=key_id, scopes=scopes)


def key_sha256(key: str) -> str:
    """Return what is kept of a key. It is random and long, so a fast hash protects it."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
