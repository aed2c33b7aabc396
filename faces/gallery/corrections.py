"""Corrections of what was enrolled: change, merge, move, delete. Runs in a transaction.

As in `enrolment`, the feed's lock comes before any row is locked.
"""

from psycopg import sql

from faces.contracts.errors import ErrorCode, FacesError, InvalidInput
from faces.contracts.ids import parse_id
from faces.gallery import collections, people
from faces.gallery.database import Connection
from faces.gallery.records import Deleted, Person, PersonUpdate


def update_person(
    connection: Connection, tenant: str, collection: str, person_id: str, update: PersonUpdate
) -> Person:
    """Change what `update` names and return the person as it is then."""
    given = {name: getattr(update, name) for name in sorted(update.model_fields_set)}
    collection_id = collections.find(connection, tenant, collection)
    connection.execute("SELECT lock_feed()")
    person_id, _ = people.require(connection, collection_id, person_id)
    if given:
        columns = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in given
        )
        with people.duplicates_told():
            connection.execute(
                sql.SQL("UPDATE people SET {} WHERE person_id = %(id)s").format(columns),
                {**given, "id": person_id},
            )
    return people.get(connection, tenant, collection, person_id)


def merge_people(
    connection: Connection, tenant: str, collection: str, keep: str, merge: str
) -> Person:
    """Give all of `merge` to `keep`, delete `merge`, and return who was kept."""
    collection_id = collections.find(connection, tenant, collection)
    connection.execute("SELECT lock_feed()")
    kept_id, _ = people.require(connection, collection_id, keep)
    merged_id, _ = people.require(connection, collection_id, merge)
    if kept_id == merged_id:
        raise InvalidInput("merge", "merge: a person cannot be merged with itself")
    connection.execute("UPDATE faces SET person_id = %s WHERE person_id = %s", [kept_id, merged_id])
    # Deleted before its e-mail and external id go over: both are unique.
    gone = connection.execute(
        "DELETE FROM people WHERE person_id = %s RETURNING birthdate, email, external_id",
        [merged_id],
    ).fetchone()
    assert gone is not None, "locked above"
    connection.execute(
        "UPDATE people SET birthdate = coalesce(birthdate, %s), email = coalesce(email, %s), "
        "external_id = coalesce(external_id, %s) WHERE person_id = %s",
        [*gone, kept_id],
    )
    return people.get(connection, tenant, collection, kept_id)


def move_face(
    connection: Connection, tenant: str, collection: str, face_id: str, person_id: str
) -> Person:
    """Give a face to another person of the collection, who is returned."""
    collection_id = collections.find(connection, tenant, collection)
    connection.execute("SELECT lock_feed()")
    known_id, _ = people.require(connection, collection_id, person_id)
    moved = connection.execute(
        "UPDATE faces SET person_id = %s WHERE face_id = %s AND collection_id = %s",
        [known_id, parse_id(face_id, unknown=ErrorCode.UNKNOWN_FACE), collection_id],
    )
    if not moved.rowcount:
        raise FacesError(ErrorCode.UNKNOWN_FACE)
    return people.get(connection, tenant, collection, known_id)


def delete_face(connection: Connection, tenant: str, collection: str, face_id: str) -> Deleted:
    """Delete a face; its person stays, even without faces."""
    collection_id = collections.find(connection, tenant, collection)
    connection.execute("SELECT lock_feed()")
    row = connection.execute(
        "DELETE FROM faces WHERE face_id = %s AND collection_id = %s RETURNING job_id",
        [parse_id(face_id, unknown=ErrorCode.UNKNOWN_FACE), collection_id],
    ).fetchone()
    if row is None:
        raise FacesError(ErrorCode.UNKNOWN_FACE)
    jobs = () if row[0] is None else (str(row[0]),)
    return Deleted(people=0, faces=1, unmatched_faces=0, jobs=jobs)
