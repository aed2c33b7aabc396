"""People: find, list, make, delete."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC

import psycopg
from psycopg.rows import TupleRow

from faces.contracts.errors import ErrorCode, FacesError, InvalidInput
from faces.contracts.ids import new_id, parse_id
from faces.contracts.people import MAX_LIMIT
from faces.contracts.results import FaceQuality
from faces.gallery import collections, cursors
from faces.gallery.database import Connection
from faces.gallery.records import Deleted, NewPerson, Person, PersonPage, StoredFace

SAME_PERSON = 0.5
"""Cosine from which an unknown face goes with a deleted person. Below every threshold that
recognises: to forget one vector too many costs a photo, to keep one breaks a promise."""
_UNIQUE_INDEXES = {"people_email": "email", "people_external_id": "external_id"}
_SELECT = """
    SELECT person_id, name, birthdate, email, external_id,
           (SELECT count(*) FROM faces WHERE faces.person_id = people.person_id), created_at,
           lower(name)
    FROM people
"""


def get(connection: Connection, tenant: str, collection: str, person_id: str) -> Person:
    """Return a person; FacesError `unknown_person`."""
    collection_id = collections.find(connection, tenant, collection)
    row = connection.execute(
        _SELECT + "WHERE collection_id = %s AND person_id = %s",
        [collection_id, parse_id(person_id, unknown=ErrorCode.UNKNOWN_PERSON)],
    ).fetchone()
    if row is None:
        raise FacesError(ErrorCode.UNKNOWN_PERSON)
    return _person(row)


def page(
    connection: Connection,
    tenant: str,
    collection: str,
    query: str | None,
    cursor: str | None,
    limit: int,
) -> PersonPage:
    """Return people by name; see `Gallery.list_people`."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput("limit", f"limit: must be 1 to {MAX_LIMIT}")
    after_name, after_id = cursors.read_name(cursor) if cursor else (None, None)
    collection_id = collections.find(connection, tenant, collection)
    if query is not None and not query.isprintable():
        return PersonPage(people=())  # stored text is printable, so nothing can hold this
    rows = connection.execute(
        _SELECT
        + """
        WHERE collection_id = %(collection_id)s
          AND (%(query)s::text IS NULL
               OR strpos(lower(name), lower(%(query)s)) > 0
               OR strpos(lower(email), lower(%(query)s)) > 0
               OR strpos(lower(external_id), lower(%(query)s)) > 0)
          AND (%(after_id)s::uuid IS NULL
               OR (lower(name), person_id) > (%(after_name)s::text, %(after_id)s::uuid))
        ORDER BY lower(name), person_id
        LIMIT %(limit)s
        """,
        {
            "collection_id": collection_id,
            "query": query,
            "after_name": after_name,
            "after_id": after_id,
            "limit": limit + 1,
        },
    ).fetchall()
    shown = rows[:limit]
    more = cursors.write_name(shown[-1][7], shown[-1][0]) if len(rows) > limit else None
    return PersonPage(people=tuple(_person(row) for row in shown), next_cursor=more)


def faces_of(
    connection: Connection, tenant: str, collection: str, person_id: str
) -> list[StoredFace]:
    """Return a person's faces, the oldest first; FacesError `unknown_person`."""
    person = get(connection, tenant, collection, person_id)
    rows = connection.execute(
        "SELECT face_id, model_tag, job_id, quality, created_at FROM faces WHERE person_id = %s "
        "ORDER BY created_at, face_id",
        [person.person_id],
    ).fetchall()
    return [
        StoredFace(
            face_id=str(face_id),
            model_tag=model_tag,
            job_id=str(job_id) if job_id else None,
            quality=FaceQuality.model_validate(quality) if quality else None,
            created_at=created_at.astimezone(UTC),
        )
        for face_id, model_tag, job_id, quality, created_at in rows
    ]


def delete(connection: Connection, tenant: str, collection: str, person_id: str) -> Deleted:
    """Delete a person with all faces; runs in a transaction.

    Unknown faces that are kept and look like the person go too, with their photos.

    Raises
    ------
    FacesError
        `unknown_person`.
    """
    collection_id = collections.find(connection, tenant, collection)
    known_id = parse_id(person_id, unknown=ErrorCode.UNKNOWN_PERSON)
    connection.execute("SELECT lock_feed()")
    unmatched = connection.execute(
        """
        DELETE FROM unmatched_faces u WHERE collection_id = %s AND EXISTS (
            SELECT FROM faces f WHERE person_id = %s AND f.collection_id = u.collection_id
            AND f.model_tag = u.model_tag AND 1 - (f.embedding <=> u.embedding) >= %s)
        RETURNING job_id
        """,
        [collection_id, known_id, SAME_PERSON],
    ).fetchall()
    faces = connection.execute(
        "DELETE FROM faces WHERE collection_id = %s AND person_id = %s RETURNING job_id",
        [collection_id, known_id],
    ).fetchall()
    person = connection.execute(
        "DELETE FROM people WHERE collection_id = %s AND person_id = %s", [collection_id, known_id]
    )
    if not person.rowcount:
        raise FacesError(ErrorCode.UNKNOWN_PERSON)
    return Deleted(
        people=1,
        faces=len(faces),
        unmatched_faces=len(unmatched),
        jobs=tuple({str(job_id) for (job_id,) in (*faces, *unmatched) if job_id is not None}),
    )


def find_or_make(
    connection: Connection, collection_id: int, person: NewPerson | str
) -> tuple[str, str]:
    """Return id and name of the person, who is made if new; runs in a transaction.

    Raises
    ------
    FacesError
        `unknown_person`, `duplicate_person`.
    """
    if isinstance(person, NewPerson):
        return _make(connection, collection_id, person), person.name
    return require(connection, collection_id, person)


def require(connection: Connection, collection_id: int, person_id: str) -> tuple[str, str]:
    """Return id and name of a person, who stays until the transaction ends.

    Raises
    ------
    FacesError
        `unknown_person`.
    """
    row = connection.execute(
        "SELECT person_id, name FROM people WHERE collection_id = %s AND person_id = %s "
        "FOR KEY SHARE",
        [collection_id, parse_id(person_id, unknown=ErrorCode.UNKNOWN_PERSON)],
    ).fetchone()
    if row is None:
        raise FacesError(ErrorCode.UNKNOWN_PERSON)
    return str(row[0]), str(row[1])


def _make(connection: Connection, collection_id: int, person: NewPerson) -> str:
    person_id = new_id()
    with duplicates_told():
        connection.execute(
            "INSERT INTO people (person_id, collection_id, name, birthdate, email, external_id) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            [
                person_id,
                collection_id,
                person.name,
                person.birthdate,
                person.email,
                person.external_id,
            ],
        )
    return person_id


@contextmanager
def duplicates_told() -> Iterator[None]:
    """Turn the database's refusal into FacesError `duplicate_person` with the field at fault."""
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        field = _UNIQUE_INDEXES.get(error.diag.constraint_name or "")
        if field is None:
            raise
        raise FacesError(ErrorCode.DUPLICATE_PERSON, field=field) from None


def _person(row: TupleRow) -> Person:
    person_id, name, birthdate, email, external_id, faces, created_at, _ = row
    return Person(
        person_id=str(person_id),
        name=name,
        birthdate=birthdate,
        email=email,
        external_id=external_id,
        faces=faces,
        created_at=created_at.astimezone(UTC),
    )
