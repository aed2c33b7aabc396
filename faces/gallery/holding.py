"""Holds what a result names while the result is published."""

from collections.abc import Collection

from faces.gallery.database import Connection

# A worker that is stopped in mid-publication must not block deletions for ever.
_LIMIT = "SELECT set_config('idle_in_transaction_session_timeout', '10s', true)"


def all_there(connection: Connection, faces: Collection[str], people: Collection[str]) -> bool:
    """Return whether these are all there, and lock them until the transaction ends.

    Parameters
    ----------
    faces, people : ids.
    """
    connection.execute(_LIMIT)
    found_faces = connection.execute(
        "SELECT FROM faces WHERE face_id = ANY(%s::uuid[]) ORDER BY face_id FOR SHARE",
        [sorted(set(faces))],
    )
    found_people = connection.execute(
        "SELECT FROM people WHERE person_id = ANY(%s::uuid[]) ORDER BY person_id FOR SHARE",
        [sorted(set(people))],
    )
    return (found_faces.rowcount, found_people.rowcount) == (len(set(faces)), len(set(people)))
