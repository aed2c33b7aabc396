"""Tenants and collections."""

import re
from datetime import UTC

from faces.contracts.collections import Collection, CollectionSettings
from faces.contracts.errors import ErrorCode, FacesError, InvalidInput
from faces.contracts.jobs import DEFAULT_COLLECTION, DEFAULT_TENANT
from faces.contracts.names import PLACE_NAME
from faces.gallery.database import Connection
from faces.gallery.records import Deleted

_NAME = re.compile(PLACE_NAME)


def ensure(connection: Connection, tenant: str, collection: str) -> int:
    """Make tenant and collection where they are missing and return the collection's id."""
    for field, name in (("tenant", tenant), ("collection", collection)):
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                field,
                f"{field}: use 1 to 63 letters, digits, '_', '.' and '-', starting with no sign",
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


def settings_of(connection: Connection, tenant: str, collection: str) -> CollectionSettings:
    """Return a collection's settings; those of a new one where there is none."""
    row = None
    if _NAME.fullmatch(tenant) and _NAME.fullmatch(collection):
        row = connection.execute(
            "SELECT settings FROM collections WHERE tenant = %s AND name = %s",
            [tenant, collection],
        ).fetchone()
    return CollectionSettings.model_validate(row[0]) if row else CollectionSettings()


def create(
    connection: Connection, tenant: str, collection: str, settings: CollectionSettings
) -> None:
    """Make a collection; FacesError `collection_exists` where there is one."""
    ensure_tenant(connection, tenant)
    made = connection.execute(
        "INSERT INTO collections (tenant, name, settings) VALUES (%s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        [tenant, collection, _stored(settings)],
    )
    if not made.rowcount:
        raise FacesError(ErrorCode.COLLECTION_EXISTS, field="collection")
    connection.execute("UPDATE sweeps SET swept_to = NULL")  # photos may have come before


def change(
    connection: Connection, tenant: str, collection: str, settings: CollectionSettings
) -> None:
    """Replace a collection's settings."""
    connection.execute("SELECT lock_feed()")
    connection.execute(
        "UPDATE collections SET settings = %s WHERE collection_id = %s",
        [_stored(settings), find(connection, tenant, collection)],
    )
    connection.execute("UPDATE sweeps SET swept_to = NULL")


def get(connection: Connection, tenant: str, collection: str) -> Collection:
    """Return a collection; FacesError `unknown_collection`."""
    found = of_tenant(connection, tenant, only=collection)
    if not found:
        raise FacesError(ErrorCode.UNKNOWN_COLLECTION)
    return found[0]


def of_tenant(connection: Connection, tenant: str, only: str | None = None) -> list[Collection]:
    """Return a tenant's collections by name; none for a tenant that has none."""
    if not _NAME.fullmatch(tenant) or (only is not None and not _NAME.fullmatch(only)):
        return []
    rows = connection.execute(
        """
        SELECT name, settings, created_at,
               (SELECT count(*) FROM people WHERE people.collection_id = c.collection_id),
               (SELECT count(*) FROM faces WHERE faces.collection_id = c.collection_id)
        FROM collections c
        WHERE tenant = %(tenant)s AND (%(only)s::text IS NULL OR name = %(only)s)
        ORDER BY name
        """,
        {"tenant": tenant, "only": only},
    ).fetchall()
    return [
        Collection(
            collection=name,
            settings=CollectionSettings.model_validate(settings),
            created_at=created_at.astimezone(UTC),
            people=people,
            faces=faces,
        )
        for name, settings, created_at, people, faces in rows
    ]


def delete(connection: Connection, tenant: str, collection: str) -> Deleted:
    """Delete a collection with all people and faces; runs in a transaction.

    Raises
    ------
    FacesError
        `unknown_collection`; InvalidInput for the one that is always there.
    """
    if (tenant, collection) == (DEFAULT_TENANT, DEFAULT_COLLECTION):
        raise InvalidInput("collection", "collection: the default collection always stays")
    collection_id = find(connection, tenant, collection)
    connection.execute("SELECT lock_feed()")
    faces = connection.execute(
        "DELETE FROM faces WHERE collection_id = %s RETURNING job_id", [collection_id]
    ).fetchall()
    unmatched = connection.execute(
        "DELETE FROM unmatched_faces WHERE collection_id = %s RETURNING job_id", [collection_id]
    ).fetchall()
    people = connection.execute("DELETE FROM people WHERE collection_id = %s", [collection_id])
    connection.execute("DELETE FROM collections WHERE collection_id = %s", [collection_id])
    # What it kept for longer than others is looked at again.
    connection.execute("UPDATE sweeps SET swept_to = NULL")
    return Deleted(
        people=people.rowcount,
        faces=len(faces),
        unmatched_faces=len(unmatched),
        jobs=tuple({str(job_id) for (job_id,) in (*faces, *unmatched) if job_id is not None}),
    )


def _stored(settings: CollectionSettings) -> str:
    return settings.model_dump_json(exclude_none=True)
