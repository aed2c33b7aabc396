"""What a worker on EC2 learns of itself at its start: who it is, and settings on its tags.

User data, the same for all instances of a launch template, comes as the environment; a tag
on the instance, such as `faces:WORKER_IDLE_SECONDS`, comes before it.
"""

import re
from collections.abc import Mapping
from typing import Protocol

from faces.contracts.names import TAG_STACK

URL_VARIABLE = "WORKER_METADATA_URL"
_SETTING = re.compile(r"faces:((?:WORKER|FACES)_[A-Z0-9_]+)")
# What says where the worker belongs; a tag must not lead it elsewhere.
_FIXED = {"FACES_STACK", "WORKER_ID", "WORKER_IMAGE", URL_VARIABLE}


class Metadata(Protocol):
    """Reads instance metadata."""

    def get(self, path: str) -> str | None: ...


def environment(environ: Mapping[str, str], metadata: Metadata) -> dict[str, str]:
    """Return the worker's whole environment on an instance.

    Raises
    ------
    TransientError
        When the metadata service does not answer.
    """
    facts = {
        "WORKER_ID": metadata.get("instance-id"),
        "WORKER_IMAGE": metadata.get("ami-id"),
        "FACES_STACK": metadata.get(f"tags/instance/{TAG_STACK}"),
    }
    tags = (metadata.get("tags/instance") or "").splitlines()
    settings = {
        match[1]: metadata.get(f"tags/instance/{tag}")
        for tag in tags
        if (match := _SETTING.fullmatch(tag)) and match[1] not in _FIXED
    }
    known = {name: value for name, value in {**facts, **settings}.items() if value}
    return {**environ, **known}
