"""Holds what a result names while the result is published."""

from collections.abc import Collection

from faces.gallery.database import Connection

HOLD_SECONDS = 20
"""A worker that is stopped in mid-publication must not block deletions for ever; whoever
publishes gives a write up before, so that none arrives when nobody is held any more."""

_LIMIT = f"SELECT set_config('idle_in_transaction_session_timeout', '{HOLD_SECONDS}s', true)"


def owners(connection: Connection, faces: Collection[str]) -> dict[str, tuple[str, str]]:
    """Lock enrolled faces and their people until the transaction ends.

    Returns
    -------
    Id and name of the person by id of the face; faces that are gone are left out.
    """
    connection.execute(_LIMIT)
    rows = connection.execute(
        "SELECT face_id::text, person_id::text, name FROM faces JOIN people USING (person_id) "
        "WHERE face_id = ANY(%s::uuid[]) ORDER BY face_id FOR SHARE",
        [sorted(set(faces))],
    ).fetchall()
    return {face_id: (person_id, name) for face_id, person_id, name in rows}


def is_there(connection: Connection, person_id: str) -> bool:
    """Return whether a person is there, who then stays until the transaction ends."""
    connection.execute(_LIMIT)
    found = connection.execute(
        "SELECT FROM people WHERE person_id = %s::uuid FOR SHARE", [person_id]
    )
    return bool(found.rowcount)
