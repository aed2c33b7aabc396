"""The change feed: how a worker's copy of the gallery keeps up. Needs numpy.

Positions become visible in order (see `lock_feed` in the first migration), so what is
visible up to a position never grows later.
"""

import numpy as np
import psycopg

from faces.gallery.database import Connection
from faces.gallery.vectors import (
    EMBEDDING_SIZE,
    Changes,
    GalleryFace,
    Halves,
    Snapshot,
    decode_halves,
)

_STATE = "SELECT pruned_to, greatest(pruned_to, (SELECT max(position) FROM changes)) FROM feed"
_FACES = """
    SELECT face_id::text, person_id::text, people.name, tenant, collections.name,
           halfvec_send(embedding)
    FROM faces
    JOIN people USING (person_id)
    JOIN collections ON collections.collection_id = faces.collection_id
    WHERE model_tag = %(model_tag)s
"""
_CHANGED_FACES = """
    AND face_id IN (SELECT face_id FROM changes WHERE position > %(position)s)
"""
_CHUNK_ROWS = 5000


def load(connection: Connection, model_tag: str) -> Snapshot:
    """Return all faces of a model tag and where the feed stands, as of one moment."""
    with connection.transaction():
        _one_moment(connection)
        _, position = _state(connection)
        (count,) = connection.execute(
            "SELECT count(*) FROM faces WHERE model_tag = %s", [model_tag]
        ).fetchone() or (0,)
        embeddings = np.empty((count, EMBEDDING_SIZE), dtype=np.float16)
        faces: list[GalleryFace] = []
        # A cursor on the server: the vectors pass in chunks, never all of them twice.
        with psycopg.ServerCursor(connection, "load_gallery") as cursor:
            cursor.execute(_FACES, {"model_tag": model_tag}, binary=True)
            while rows := cursor.fetchmany(_CHUNK_ROWS):
                start = len(faces)
                faces.extend(GalleryFace(*row[:5]) for row in rows)
                embeddings[start : len(faces)] = decode_halves([row[5] for row in rows])
    return Snapshot(position, faces, embeddings)


def changes_since(connection: Connection, position: int, model_tag: str) -> Changes | None:
    """Return what changed after `position`, or None when all must be loaded again."""
    _, newest = _state(connection)
    if newest == position:
        return Changes(position, [], _no_embeddings(), frozenset(), {})
    parameters = {"model_tag": model_tag, "position": position}
    with connection.transaction():
        _one_moment(connection)
        oldest, newest = _state(connection)
        if not oldest <= position <= newest:
            return None
        rows = connection.execute(_FACES + _CHANGED_FACES, parameters, binary=True).fetchall()
        touched = connection.execute(
            "SELECT DISTINCT face_id::text FROM changes "
            "WHERE position > %(position)s AND face_id IS NOT NULL",
            parameters,
        ).fetchall()
        renamed = connection.execute(
            "SELECT person_id::text, name FROM people WHERE person_id IN "
            "(SELECT person_id FROM changes WHERE position > %(position)s)",
            parameters,
        ).fetchall()
    faces = [GalleryFace(*row[:5]) for row in rows]
    kept = {face.face_id for face in faces}
    return Changes(
        position=newest,
        faces=faces,
        embeddings=decode_halves([row[5] for row in rows]) if rows else _no_embeddings(),
        removed=frozenset(face_id for (face_id,) in touched if face_id not in kept),
        renamed=dict(renamed),
    )


def _one_moment(connection: Connection) -> None:
    """Have all statements of the transaction see the database as of the first of them."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _state(connection: Connection) -> tuple[int, int]:
    """Return the oldest position that can be followed on from, and the newest."""
    row = connection.execute(_STATE).fetchone()
    assert row is not None, "the table `feed` has one row"
    return row[0], row[1]


def _no_embeddings() -> Halves:
    return np.empty((0, EMBEDDING_SIZE), dtype=np.float16)
