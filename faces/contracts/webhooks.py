"""Callbacks: what is sent when a job has ended, and how it is signed.

The header is `Faces-Signature: t=<Unix seconds>,k=<key id>,v1=<hex>`; the signature is the
HMAC-SHA256 of `<t>.<body>` with the tenant's key. The body names the job and holds nothing
about faces: who may read the result asks for it with an API key.
"""

import hashlib
import hmac
import json
import re
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from faces.contracts.base import StoredDocument
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import JobKind, JobState

SIGNATURE_HEADER = "Faces-Signature"
DELIVERY_HEADER = "Faces-Delivery"
TOLERANCE_SECONDS = 300
_SIGNATURE = re.compile(r"t=(\d{1,12}),k=([0-9a-f]{16}),v1=([0-9a-f]{64})")


class BadSignature(ValueError):
    """A callback was not signed with this key, was changed, or is old."""


class JobEnded(StoredDocument):
    """The body of a callback; `path` is the job's address below the service's."""

    event: Literal["job.ended"] = "job.ended"
    job_id: str
    kind: JobKind
    state: JobState
    error_code: ErrorCode | None = None
    submitted_at: datetime
    finished_at: datetime
    path: str


class Delivery(StoredDocument):
    """One message on the webhooks-queue: a callback that is to be sent.

    Attributes
    ----------
    attempt : 1 the first time.
    """

    version: Literal[1] = 1
    job_id: str
    tenant: str
    url: str
    body: str
    attempt: int = Field(default=1, ge=1)


class WebhookKey(StoredDocument):
    """The answer to `GET /v1/webhook-key`: with what a tenant's callbacks are signed."""

    key_id: str
    key: str = Field(repr=False)


def tenant_key(secret: bytes, tenant: str) -> str:
    """Return the key that signs a tenant's callbacks, made from the stack's secret."""
    return hmac.new(secret, f"webhooks/{tenant}".encode(), hashlib.sha256).hexdigest()


def key_id(key: str) -> str:
    """Return by what a key is named without being told."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def sign(key: str, body: bytes, timestamp: int) -> str:
    """Return the value of `SIGNATURE_HEADER`; `timestamp` in Unix seconds."""
    return f"t={timestamp},k={key_id(key)},v1={_digest(key, timestamp, body)}"


def verify(
    header: str, body: bytes, key: str, *, now: float, tolerance: float = TOLERANCE_SECONDS
) -> dict[str, Any]:
    """Return the document of a callback after checking it.

    Parameters
    ----------
    header : the value of `SIGNATURE_HEADER`.
    body : as it was received, byte for byte.
    now : Unix seconds.
    tolerance : seconds that the callback's clock may differ; older ones may be replays.

    Raises
    ------
    BadSignature
        When the key, the body or the time is not right.
    """
    parts = _SIGNATURE.fullmatch(header)
    if parts is None:
        raise BadSignature("the signature cannot be read")
    timestamp, given = int(parts[1]), parts[3]
    if not hmac.compare_digest(_digest(key, timestamp, body), given):
        raise BadSignature("the signature is wrong")
    if abs(now - timestamp) > tolerance:
        raise BadSignature("the callback is too old")
    document: dict[str, Any] = json.loads(body)
    return document


def _digest(key: str, timestamp: int, body: bytes) -> str:
    return hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
