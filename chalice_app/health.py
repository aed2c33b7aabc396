"""Whether the front end can do its work."""

from collections.abc import Callable, Mapping
from typing import Literal

from chalice_app.observability import logger
from faces.contracts.base import Document, StoredDocument
from faces.contracts.errors import TransientError
from faces.contracts.version import CODE_VERSION


class HealthQuery(Document):
    """The query of `GET /health`."""

    deep: Literal["0", "1"] = "0"


class Health(StoredDocument):
    """The answer to `GET /health`; `checks` says what a deep look found in order."""

    status: Literal["ok"] = "ok"
    version: str = CODE_VERSION
    stack: str
    checks: dict[str, Literal["ok"]] | None = None


def shallow(stack: str) -> Health:
    """Return that the process runs."""
    return Health(stack=stack)


def deep(stack: str, checks: Mapping[str, Callable[[], None]]) -> Health:
    """Run every check.

    Raises
    ------
    TransientError
        Naming each part that did not answer.
    """
    away = []
    for name, check in checks.items():
        try:
            check()
        except Exception:  # noqa: BLE001 - whatever a part raises, it is away
            logger.warning("a part is away", part=name, exc_info=True)
            away.append(name)
    if away:
        raise TransientError(f"Not answering: {', '.join(away)}.")
    return Health(stack=stack, checks=dict.fromkeys(checks, "ok"))
