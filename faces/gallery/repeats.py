"""What it takes to repeat an answer: the collection's version, and fresh ids of the unknown."""

from collections.abc import Mapping
from datetime import datetime

from faces.gallery.database import Connection

NO_COLLECTION = "none"


def collection_version(connection: Connection, tenant: str, collection: str) -> str:
    """Return a text that changes with each change of the collection's faces, names or settings.

    It also changes when rows of the feed are pruned, and is never used again for another
    state of this or another collection of the database.
    """
    row = connection.execute(
        """
        SELECT c.collection_id, greatest(
            pruned_to,
            (SELECT max(position) FROM changes WHERE changes.collection_id = c.collection_id)
        )
        FROM collections c, feed WHERE tenant = %s AND name = %s
        """,
        [tenant, collection],
    ).fetchone()
    return f"{row[0]}:{row[1]}" if row else NO_COLLECTION


def renew_unmatched(
    connection: Connection,
    renewed: Mapping[str, str],
    job_id: str,
    expires_at: datetime,
    now: datetime,
) -> bool:
    """Give unknown faces that are kept a second `req_id`; all of them or, False, none.

    Parameters
    ----------
    renewed : the new `req_id` by the one that is known.
    job_id : of the job that the new ones belong to.
    expires_at : of the new ones.
    """
    with connection.transaction():
        kept = connection.execute(
            "SELECT req_id::text FROM unmatched_faces "
            "WHERE req_id = ANY(%s::uuid[]) AND expires_at > %s FOR SHARE",
            [list(renewed), now],
        ).fetchall()
        if len(kept) < len(renewed):
            return False
        connection.execute(
            """
            INSERT INTO unmatched_faces
                (req_id, collection_id, job_id, embedding, model_tag, box, quality, threshold,
                 expires_at)
            SELECT new_id, collection_id, %(job_id)s, embedding, model_tag, box, quality, threshold,
                   %(expires_at)s
            FROM unmatched_faces
            JOIN unnest(%(old)s::uuid[], %(new)s::uuid[]) AS pairs (old_id, new_id)
                ON req_id = old_id
            WHERE NOT EXISTS (SELECT FROM enrolled_once WHERE enrolled_by = new_id)
            ON CONFLICT (req_id) DO NOTHING
            """,
            {
                "job_id": job_id,
                "expires_at": expires_at,
                "old": list(renewed),
                "new": list(renewed.values()),
            },
        )
    return True


def forget_unmatched(connection: Connection, job_id: str) -> int:
    """Delete the unknown faces of a job's photo and return how many."""
    return connection.execute("DELETE FROM unmatched_faces WHERE job_id = %s", [job_id]).rowcount
