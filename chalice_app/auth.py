"""Who is asking: the X-Api-Key header against the configured key."""

import hashlib
import hmac
from collections.abc import Mapping

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.jobs import DEFAULT_TENANT

API_KEY_HEADER = "x-api-key"


def authenticate(headers: Mapping[str, str], api_key_sha256: str) -> str:
    """Return the tenant that the key of a request belongs to.

    Parameters
    ----------
    headers : the request's headers; looking one up ignores case.
    api_key_sha256 : SHA-256 of the key in hex; empty when none is configured.

    Raises
    ------
    FacesError
        `unauthenticated` when no key is configured, or it is missing or wrong.
    """
    given = hashlib.sha256(headers.get(API_KEY_HEADER, "").encode()).hexdigest()
    if not api_key_sha256 or not hmac.compare_digest(given, api_key_sha256):
        raise FacesError(ErrorCode.UNAUTHENTICATED)
    return DEFAULT_TENANT
