"""Callbacks on the receiving side."""

import time
from collections.abc import Callable

from faces.contracts.webhooks import TOLERANCE_SECONDS, BadSignature, JobEnded, verify

__all__ = ["BadSignature", "verify_webhook"]


def verify_webhook(
    signature: str,
    body: bytes,
    key: str,
    *,
    tolerance: float = TOLERANCE_SECONDS,
    clock: Callable[[], float] = time.time,
) -> JobEnded:
    """Return what a callback tells, after checking that the service sent it just now.

    Parameters
    ----------
    signature : the header `Faces-Signature`.
    body : the request's body as it was received, byte for byte.
    key : as `GET /v1/webhook-key` answers it.
    tolerance : seconds that a callback may be old; older ones may be replays.

    Raises
    ------
    BadSignature
        When it was not signed with this key, was changed on its way, or is old.
    """
    return JobEnded.model_validate(verify(signature, body, key, now=clock(), tolerance=tolerance))
