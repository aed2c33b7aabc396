"""Tenants and collections."""

import re

from faces.contracts.errors import ErrorCode, FacesError, InvalidInput
from faces.gallery.database import Connection

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def ensure(connection: Connection, tenant: str, collection: str) -> int:
    """Make tenant and collection where they are missing and return the collection's id."""
    for field, name in (("tenant", tenant), ("collection", collection)):
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                field, "use 1 to 63 letters, digits, '_', '.' and '-', starting with no sign"
            )
    connection.execute("INSERT INTO tenants (tenant) VALUES (%s) ON CONFLICT DO NOTHING", [tenant])
    connection.execute(
        "INSERT INTO collections (tenant, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [tenant, collection],
    )
    return find(connection, tenant, collection)


def find(connection: Connection, tenant: str, collection: str) -> int:
    """Return the id of a tenant's collection; FacesError `unknown_collection`."""
    # Names that could never be made are no question to the database (which takes no NUL).
    if _NAME.fullmatch(tenant) and _NAME.fullmatch(collection):
        row = connection.execute(
            "SELECT collection_id FROM collections WHERE tenant = %s AND name = %s",
            [tenant, collection],
        ).fetchone()
        if row:
            return int(row[0])
    raise FacesError(ErrorCode.UNKNOWN_COLLECTION)
