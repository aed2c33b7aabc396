"""Enrolment: a face becomes part of the gallery. Runs in a transaction.

The feed's lock comes first, before any row is locked: so no two enrolments wait for each
other in a circle, two deliveries of one job come one after the other, and what the guard
finds still holds when the face is written.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id, parse_id
from faces.contracts.results import Enrolment, FaceQuality
from faces.gallery import collections, people
from faces.gallery.database import Connection
from faces.gallery.records import NewPerson

SAME_FACE = 0.99
"""Cosine from which a face is another copy of an enrolled one, not another photo."""

ALIKE = re.compile(r"\(([0-9a-f-]{36})\) looks like this")
"""Finds in a refusal's words whom the face looks like."""


@dataclass(frozen=True)
class Guard:
    """What is checked before a face is enrolled.

    Attributes
    ----------
    threshold : cosine similarity from which another person would be mistaken for this one;
        an unknown face brings its own, by which it was unknown.
    force : enrol in spite of what is found, and only say so.
    concerns : what was found wrong with the photo already.
    """

    threshold: float = 0.65
    force: bool = False
    concerns: tuple[ErrorCode, ...] = ()


def enroll_unmatched(
    connection: Connection,
    tenant: str,
    collection: str,
    req_id: str,
    person: NewPerson | str,
    now: datetime,
    guard: Guard | None = None,
) -> Enrolment:
    """Move an unknown face into the gallery; its vector never leaves the database."""
    known_id = parse_id(req_id, unknown=ErrorCode.UNKNOWN_REQ_ID)
    collection_id = collections.find(connection, tenant, collection)
    connection.execute("SELECT lock_feed()")
    row = connection.execute(
        "SELECT embedding::text, model_tag, quality, threshold FROM unmatched_faces "
        "WHERE req_id = %s AND collection_id = %s AND expires_at > %s FOR UPDATE",
        [known_id, collection_id, now],
    ).fetchone()
    if row is None:
        raise FacesError(ErrorCode.UNKNOWN_REQ_ID)
    vector, model_tag, quality, threshold = row
    warnings: tuple[ErrorCode, ...] = ()
    if guard is not None:
        poor = (quality or {}).get("reasons") or []
        if poor and not guard.force:
            raise poor_face(poor)
        if threshold is not None:
            guard = replace(guard, threshold=threshold)
        warnings = ((ErrorCode.POOR_FACE,) if poor else ()) + _check(
            connection, collection_id, vector, model_tag, person, guard
        )
    person_id, name = people.find_or_make(connection, collection_id, person)
    face_id = new_id()
    connection.execute(
        """
        WITH used AS (DELETE FROM unmatched_faces WHERE req_id = %s RETURNING *)
        INSERT INTO faces
            (face_id, person_id, collection_id, embedding, model_tag, enrolled_by, job_id, quality)
        SELECT %s, %s, collection_id, embedding, model_tag, req_id, job_id, quality FROM used
        """,
        [known_id, face_id, person_id],
    )
    _note(connection, known_id)
    return Enrolment(person_id=person_id, face_id=face_id, name=name, warnings=warnings)


def enroll_face(
    connection: Connection,
    job_id: str,
    tenant: str,
    collection: str,
    person: NewPerson | str,
    vector: str,
    model_tag: str,
    quality: FaceQuality | None,
    guard: Guard | None = None,
) -> tuple[Enrolment, bool]:
    """Add a face, or return what the same job added before, and whether it is new.

    Parameters
    ----------
    vector : in pgvector's text form.

    Raises
    ------
    FacesError
        `unknown_person` also when what the job added was deleted since.
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
        known = Enrolment(person_id=str(person_id), face_id=str(face_id), name=name)
        return known, False
    if connection.execute("SELECT FROM enrolled_once WHERE enrolled_by = %s", [job_id]).rowcount:
        raise FacesError(
            ErrorCode.UNKNOWN_PERSON, "The face that this job enrolled was deleted meanwhile."
        )
    warnings: tuple[ErrorCode, ...] = ()
    if guard is not None:
        warnings = _check(connection, collection_id, vector, model_tag, person, guard)
    person_id, name = people.find_or_make(connection, collection_id, person)
    face_id = new_id()
    connection.execute(
        "INSERT INTO faces "
        "(face_id, person_id, collection_id, embedding, model_tag, enrolled_by, job_id, quality) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            face_id,
            person_id,
            collection_id,
            vector,
            model_tag,
            job_id,
            job_id,
            quality.model_dump_json() if quality else None,
        ],
    )
    _note(connection, job_id)
    return Enrolment(person_id=person_id, face_id=face_id, name=name, warnings=warnings), True


def _note(connection: Connection, enrolled_by: str) -> None:
    connection.execute("INSERT INTO enrolled_once (enrolled_by) VALUES (%s)", [enrolled_by])


def poor_face(reasons: Sequence[str]) -> FacesError:
    """Return the error for a face that is too poor to enrol."""
    return FacesError(
        ErrorCode.POOR_FACE,
        f"The face is too poor ({', '.join(reasons)}); use a sharp, well-lit, frontal and "
        "larger face, or send force.",
    )


def _check(
    connection: Connection,
    collection_id: int,
    vector: str,
    model_tag: str,
    person: NewPerson | str,
    guard: Guard,
) -> tuple[ErrorCode, ...]:
    """Return what the guard is concerned about; raise the first of it unless forced."""
    rows = connection.execute(
        """
        SELECT person_id::text, name, 1 - distance AS similarity
        FROM (
            -- One row a person: many faces of one must not hide another person.
            SELECT person_id, min(embedding <=> %(vector)s::halfvec) AS distance
            FROM faces
            WHERE collection_id = %(collection_id)s AND model_tag = %(model_tag)s
              AND embedding <=> %(vector)s::halfvec <= 1 - %(least)s
            GROUP BY person_id
        ) AS near
        JOIN people USING (person_id)
        ORDER BY similarity DESC LIMIT 20
        """,
        {
            "vector": vector,
            "collection_id": collection_id,
            "model_tag": model_tag,
            "least": min(guard.threshold, SAME_FACE),
        },
    ).fetchall()
    own = person.lower() if isinstance(person, str) else None
    found = list(guard.concerns)
    for person_id, name, similarity in rows:
        code = None
        if person_id != own and similarity >= guard.threshold:
            code = ErrorCode.LOOKS_LIKE_ANOTHER
            detail = (
                f"{name} ({person_id}) looks like this ({similarity:.2f}, threshold "
                f"{guard.threshold:.2f}); add the face to that person, or send force."
            )
        elif similarity >= SAME_FACE:
            code = ErrorCode.DUPLICATE_FACE
            detail = "This very face is enrolled; use another photo, or send force."
        if code is not None and code not in found:
            if not guard.force:
                raise FacesError(code, detail)
            found.append(code)
    return tuple(found)
