"""Enrolment: a face becomes part of the gallery. Runs in a transaction.

The feed's lock comes first, before any row is locked: so no two enrolments wait for each
other in a circle, and two deliveries of one job come one after the other.
"""

from datetime import datetime

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id, parse_id
from faces.contracts.results import Enrolment, FaceQuality
from faces.gallery import collections, people
from faces.gallery.database import Connection
from faces.gallery.records import NewPerson


def enroll_unmatched(
    connection: Connection,
    tenant: str,
    collection: str,
    req_id: str,
    person: NewPerson | str,
    now: datetime,
) -> Enrolment:
    """Move an unknown face into the gallery; its vector never leaves the database."""
    known_id = parse_id(req_id, unknown=ErrorCode.UNKNOWN_REQ_ID)
    collection_id = collections.find(connection, tenant, collection)
    connection.execute("SELECT lock_feed()")
    here = connection.execute(
        "SELECT FROM unmatched_faces "
        "WHERE req_id = %s AND collection_id = %s AND expires_at > %s FOR UPDATE",
        [known_id, collection_id, now],
    )
    if not here.rowcount:
        raise FacesError(ErrorCode.UNKNOWN_REQ_ID)
    person_id, name = people.find_or_make(connection, collection_id, person)
    face_id = new_id()
    connection.execute(
        """
        WITH used AS (DELETE FROM unmatched_faces WHERE req_id = %s RETURNING *)
        INSERT INTO faces
            (face_id, person_id, collection_id, embedding, model_tag, enrolled_by, quality)
        SELECT %s, %s, collection_id, embedding, model_tag, req_id, quality FROM used
        """,
        [known_id, face_id, person_id],
    )
    return Enrolment(person_id=person_id, face_id=face_id, name=name)


def enroll_face(
    connection: Connection,
    job_id: str,
    tenant: str,
    collection: str,
    person: NewPerson | str,
    vector: str,
    model_tag: str,
    quality: FaceQuality | None,
) -> Enrolment:
    """Add a face, or return what the same job added before.

    Parameters
    ----------
    vector : in pgvector's text form.
    """
    collection_id = collections.find(connection, tenant, collection)
    connection.execute("SELECT lock_feed()")
    before = connection.execute(
        "SELECT person_id, face_id, name FROM faces JOIN people USING (person_id) "
        "WHERE enrolled_by = %s AND faces.collection_id = %s",
        [job_id, collection_id],
    ).fetchone()
    if before:
        person_id, face_id, name = before
        return Enrolment(person_id=str(person_id), face_id=str(face_id), name=name)
    person_id, name = people.find_or_make(connection, collection_id, person)
    face_id = new_id()
    connection.execute(
        "INSERT INTO faces "
        "(face_id, person_id, collection_id, embedding, model_tag, enrolled_by, quality) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            face_id,
            person_id,
            collection_id,
            vector,
            model_tag,
            job_id,
            quality.model_dump_json() if quality else None,
        ],
    )
    return Enrolment(person_id=person_id, face_id=face_id, name=name)
