"""Tenants and collections."""

import re
from datetime import UTC

from faces.contracts.errors import ErrorCode, FacesError, InvalidInput
from faces.contracts.jobs import DEFAULT_COLLECTION, DEFAULT_TENANT
from faces.gallery.database import Connection
from faces.gallery.records import CollectionInfo

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def ensure(connection: Connection, tenant: str, collection: str) -> int:
    """Make tenant and collection where they are missing and return the collection's id."""
    for field, name in (("tenant", tenant), ("collection", collection)):
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                field, "use 1 to 63 letters, digits, '_', '.' and '-', starting with no sign"
            )
    ensure_tenant(connection, tenant)
    connection.execute(
        "INSERT INTO collections (tenant, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [tenant, collection],
    )
    return find(connection, tenant, collection)


def ensure_tenant(connection: Connection, tenant: str) -> None:
    """Make a tenant where it is missing."""
    connection.execute("INSERT INTO tenants (tenant) VALUES (%s) ON CONFLICT DO NOTHING", [tenant])


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


def of_tenant(connection: Connection, tenant: str) -> list[CollectionInfo]:
    """Return a tenant's collections by name; none for a tenant that has none."""
    if not _NAME.fullmatch(tenant):
        return []
    rows = connection.execute(
        """
        SELECT name, created_at,
               (SELECT count(*) FROM people WHERE people.collection_id = c.collection_id),
               (SELECT count(*) FROM faces WHERE faces.collection_id = c.collection_id)
        FROM collections c WHERE tenant = %s ORDER BY name
        """,
        [tenant],
    ).fetchall()
    return [
        CollectionInfo(
            collection=name, created_at=created_at.astimezone(UTC), people=people, faces=faces
        )
        for name, created_at, people, faces in rows
    ]


def delete(connection: Connection, tenant: str, collection: str) -> None:
    """Delete a collection with all people and faces; runs in a transaction.

    Raises
    ------
    FacesError
        `unknown_collection`; InvalidInput for the one that is always there.
    """
    if (tenant, collection) == (DEFAULT_TENANT, DEFAULT_COLLECTION):
        raise InvalidInput("collection", "the default collection always stays")
    collection_id = find(connection, tenant, collection)
    connection.execute("SELECT lock_feed()")
    # The foreign keys take all that is in it along; the triggers tell the feed.
    connection.execute("DELETE FROM collections WHERE collection_id = %s", [collection_id])
