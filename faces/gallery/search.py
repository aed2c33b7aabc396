"""Vectors of people and of unknown faces, and the exact search. Needs numpy."""

from collections.abc import Sequence
from datetime import datetime

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import parse_id
from faces.contracts.results import Candidate
from faces.gallery import collections, people
from faces.gallery.database import Connection
from faces.gallery.vectors import Embeddings, UnmatchedFace, decode, encode


def remember_unmatched(connection: Connection, faces: Sequence[UnmatchedFace]) -> None:
    """Keep unknown faces until they expire; runs in a transaction."""
    places = {(face.tenant, face.collection) for face in faces}
    ids = {place: collections.find(connection, *place) for place in places}
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO unmatched_faces
                (req_id, collection_id, job_id, embedding, model_tag, box, quality, threshold,
                 expires_at)
            SELECT %(req_id)s, %(collection_id)s, %(job_id)s, %(embedding)s, %(model_tag)s,
                   %(box)s, %(quality)s, %(threshold)s, %(expires_at)s
            -- A message that comes again must not bring back what was enrolled meanwhile.
            WHERE NOT EXISTS (SELECT FROM enrolled_once WHERE enrolled_by = %(req_id)s)
            ON CONFLICT (req_id) DO NOTHING
            """,
            [
                {
                    "req_id": face.req_id,
                    "collection_id": ids[face.tenant, face.collection],
                    "job_id": face.job_id,
                    "embedding": encode(face.embedding),
                    "model_tag": face.model_tag,
                    "box": face.box.model_dump_json() if face.box else None,
                    "quality": face.quality.model_dump_json() if face.quality else None,
                    "threshold": face.threshold,
                    "expires_at": face.expires_at,
                }
                for face in faces
            ],
        )


def unmatched_embedding(
    connection: Connection,
    tenant: str,
    collection: str,
    req_id: str,
    model_tag: str,
    now: datetime,
) -> Embeddings:
    """Return an unknown face's vector, float32, shape (512,); FacesError `unknown_req_id`."""
    known_id = parse_id(req_id, unknown=ErrorCode.UNKNOWN_REQ_ID)
    collection_id = collections.find(connection, tenant, collection)
    row = connection.execute(
        "SELECT halfvec_send(embedding) FROM unmatched_faces "
        "WHERE req_id = %s AND collection_id = %s AND model_tag = %s AND expires_at > %s",
        [known_id, collection_id, model_tag, now],
        binary=True,
    ).fetchone()
    if row is None:
        raise FacesError(ErrorCode.UNKNOWN_REQ_ID)
    vector: Embeddings = decode([row[0]])[0]
    return vector


def person_embeddings(
    connection: Connection, tenant: str, collection: str, person_id: str, model_tag: str
) -> Embeddings:
    """Return a person's vectors, float32, shape (n, 512); FacesError `unknown_person`."""
    person = people.get(connection, tenant, collection, person_id)
    rows = connection.execute(
        "SELECT halfvec_send(embedding) FROM faces WHERE person_id = %s AND model_tag = %s "
        "ORDER BY created_at, face_id",
        [person.person_id, model_tag],
        binary=True,
    ).fetchall()
    return decode([row[0] for row in rows])


def nearest(
    connection: Connection,
    tenant: str,
    collection: str,
    embedding: Embeddings,
    k: int,
    model_tag: str,
) -> list[Candidate]:
    """Return the `k` most similar people, best first, each by the mean of their faces."""
    collection_id = collections.find(connection, tenant, collection)
    rows = connection.execute(
        """
        SELECT person_id, name, 1 - distance, face_id
        FROM (
            SELECT person_id, avg(embedding::vector(512)) <=> %(probe)s::vector AS distance,
                   (array_agg(face_id ORDER BY embedding <=> %(probe)s::halfvec, face_id))[1]
                       AS face_id
            FROM faces
            WHERE collection_id = %(collection_id)s AND model_tag = %(model_tag)s
            GROUP BY person_id
        ) AS means
        JOIN people USING (person_id)
        ORDER BY distance, person_id
        LIMIT %(k)s
        """,
        {
            "probe": encode(embedding),
            "collection_id": collection_id,
            "model_tag": model_tag,
            "k": k,
        },
    ).fetchall()
    return [
        Candidate(person_id=str(person_id), name=name, similarity=similarity, face_id=str(face_id))
        for person_id, name, similarity, face_id in rows
    ]
