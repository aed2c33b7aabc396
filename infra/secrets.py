"""The secrets of a deployment: made at its first time, kept in one SSM parameter.

Losing them would make open job ids unknown and lock clients out, so that they outlive the
computer that deployed, and are never printed but for the API key, once.
"""

import contextlib
import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

_NAMES = ("FACES_ID_SECRET", "FACES_API_KEY_SHA256")


def parameter_name(stack: str) -> str:
    return f"/{stack}/deployment/secrets"


def load_or_make(
    ssm: "SSMClient", stack: str, given: Mapping[str, str]
) -> tuple[dict[str, str], str | None]:
    """Return the secrets as variables of the Lambdas, and the API key where it is new.

    Parameters
    ----------
    given : variables that are set by whoever deploys; they replace what is kept.
    """
    kept = _load(ssm, stack)
    made = {**kept, **{name: given[name] for name in _NAMES if given.get(name)}}
    key = None
    made.setdefault("FACES_ID_SECRET", secrets.token_urlsafe(36))
    if "FACES_API_KEY_SHA256" not in made:
        key = secrets.token_urlsafe(24)
        made["FACES_API_KEY_SHA256"] = hashlib.sha256(key.encode()).hexdigest()
    if made != kept:
        ssm.put_parameter(
            Name=parameter_name(stack),
            Value=json.dumps(made),
            Type="SecureString",
            Overwrite=True,
        )
    return made, key


def forget(ssm: "SSMClient", stack: str) -> None:
    """Delete them; harmless where there are none."""
    with contextlib.suppress(ssm.exceptions.ParameterNotFound):
        ssm.delete_parameter(Name=parameter_name(stack))


def _load(ssm: "SSMClient", stack: str) -> dict[str, str]:
    try:
        found = ssm.get_parameter(Name=parameter_name(stack), WithDecryption=True)
    except ssm.exceptions.ParameterNotFound:
        return {}
    values: dict[str, str] = json.loads(found["Parameter"]["Value"])
    return values
