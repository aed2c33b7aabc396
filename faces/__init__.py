"""Elastic Faces: the library that the front end, the workers and the client share.

`from faces import Client` loads the client (and httpx) only when it is asked for, so a
Lambda that imports `faces.contracts` never does.
"""

from typing import TYPE_CHECKING

from faces.contracts.version import CODE_VERSION

if TYPE_CHECKING:
    from faces.client import AsyncClient, Client

__version__ = CODE_VERSION
__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> object:
    if name in ("AsyncClient", "Client"):
        import faces.client

        return getattr(faces.client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
