"""API keys as they are asked for and answered. The key itself is shown once, when made."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from faces.contracts.base import Document, StoredDocument
from faces.contracts.names import PLACE_NAME

TenantName = Annotated[str, Field(pattern=f"^{PLACE_NAME}$")]
ROOT_KEY = "root"
"""Stands for the key of the stack's settings where a key's id is asked for."""


class Scope(StrEnum):
    """What a key may do; `admin` may do all of it."""

    READ = "read"
    RECOGNISE = "recognise"
    ENROL = "enrol"
    ADMIN = "admin"


class NewKey(Document):
    """The body of `POST /v1/keys`.

    Attributes
    ----------
    requests_per_minute : more are answered 429; as many may come at once. No limit when
        left out.
    tenant : only the stack's own key may make keys of another tenant.
    """

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=len(Scope))
    requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    tenant: TenantName | None = None


class KeyInfo(StoredDocument):
    """A key, without its secret.

    Attributes
    ----------
    prefix : how the key begins, by which a person tells it from others.
    revoked_at : since when it is refused; UTC, as `created_at`.
    """

    key_id: str
    tenant: str
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    requests_per_minute: int | None = None
    created_at: datetime
    revoked_at: datetime | None = None


class KeyCreated(KeyInfo):
    """The answer to `POST /v1/keys`; `key` is never shown again."""

    key: str = Field(repr=False)


class KeyList(StoredDocument):
    """The keys of a tenant, the newest first, revoked ones included."""

    keys: tuple[KeyInfo, ...]
