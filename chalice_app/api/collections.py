"""Collections of people, and what holds for all jobs of one."""

from chalice_app.photos import delete_photos
from chalice_app.registry import Area, Call
from faces.contracts.collections import (
    Collection,
    CollectionDeleted,
    CollectionList,
    CollectionSettings,
    NewCollection,
)
from faces.contracts.errors import ErrorCode
from faces.contracts.keys import Scope
from faces.contracts.transfer import ExportPage, ExportQuery, Imported, ImportPeople

area = Area("collections", "Collections of people, and their settings")

_UNKNOWN = (ErrorCode.UNKNOWN_COLLECTION,)


@area.operation(
    "POST",
    "/v1/collections",
    scopes=[Scope.ADMIN],
    status=201,
    errors=[ErrorCode.COLLECTION_EXISTS],
)
def create_collection(call: Call, body: NewCollection) -> Collection:
    """Make a collection; one also begins, by default settings, with its first photo."""
    return call.context.gallery.create_collection(
        call.tenant, body.collection, body.settings, actor=call.caller.key_id
    )


@area.operation("GET", "/v1/collections", scopes=[Scope.READ])
def list_collections(call: Call) -> CollectionList:
    """List the tenant's collections by name."""
    return CollectionList(collections=tuple(call.context.gallery.list_collections(call.tenant)))


@area.operation("GET", "/v1/collections/{collection}", scopes=[Scope.READ], errors=_UNKNOWN)
def get_collection(call: Call, collection: str) -> Collection:
    """Answer one collection."""
    return call.context.gallery.get_collection(call.tenant, collection)


@area.operation(
    "PUT", "/v1/collections/{collection}/settings", scopes=[Scope.ADMIN], errors=_UNKNOWN
)
def change_collection(call: Call, collection: str, body: CollectionSettings) -> Collection:
    """Replace a collection's settings; what is left out gets its default."""
    return call.context.gallery.change_collection(
        call.tenant, collection, body, actor=call.caller.key_id
    )


@area.operation(
    "DELETE",
    "/v1/collections/{collection}",
    scopes=[Scope.ADMIN],
    errors=[*_UNKNOWN, ErrorCode.INVALID_REQUEST],
)
def delete_collection(call: Call, collection: str) -> CollectionDeleted:
    """Delete a collection with all people, faces, vectors and photos.

    The collection `default` of the tenant `default` always stays.
    """
    context = call.context
    deleted = context.gallery.delete_collection(call.tenant, collection, actor=call.caller.key_id)
    delete_photos(context, deleted.jobs)
    return CollectionDeleted(
        collection=collection,
        people=deleted.people,
        faces=deleted.faces,
        unmatched_faces=deleted.unmatched_faces,
        photos=len(deleted.jobs),
    )


@area.operation("GET", "/v1/collections/{collection}/export", scopes=[Scope.ADMIN], errors=_UNKNOWN)
def export_collection(call: Call, collection: str, query: ExportQuery) -> ExportPage:
    """Answer people with all faces and vectors, page by page, to be kept or imported."""
    return call.context.transfer.export_page(
        call.tenant, collection, query.cursor, query.limit, actor=call.caller.key_id
    )


@area.operation(
    "POST", "/v1/collections/{collection}/import", scopes=[Scope.ADMIN], errors=_UNKNOWN
)
def import_collection(call: Call, collection: str, body: ImportPeople) -> Imported:
    """Add people of an export to a collection, which is made where it is missing.

    Doing it twice adds nothing; a person whose e-mail or external id another person has
    is left out, and named in `skipped`.
    """
    return call.context.transfer.import_people(
        call.tenant, collection, body.people, actor=call.caller.key_id
    )
