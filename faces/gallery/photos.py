"""Photos that are to be deleted with what was made of them."""

from collections.abc import Sequence
from datetime import datetime

from faces.gallery import audit
from faces.gallery.database import Connection


def request(
    connection: Connection,
    jobs: Sequence[str],
    now: datetime,
    *,
    tenant: str,
    collection: str,
    actor: str,
) -> None:
    """Have the photos of these jobs deleted; runs in the transaction of the deletion."""
    connection.execute(
        "INSERT INTO photo_deletions (job_id, requested_at, tenant, collection, key_id) "
        "SELECT unnest(%s::uuid[]), %s, %s, %s, %s ON CONFLICT DO NOTHING",
        [list(jobs), now, tenant, collection, actor],
    )


def pending(connection: Connection, limit: int) -> list[str]:
    """Return jobs whose photos are still to be deleted, the longest waiting first."""
    rows = connection.execute(
        "SELECT job_id FROM photo_deletions ORDER BY requested_at LIMIT %s", [limit]
    ).fetchall()
    return [str(job_id) for (job_id,) in rows]


def done(connection: Connection, jobs: Sequence[str], now: datetime) -> None:
    """Forget requests that were carried out, and record that they were; in a transaction.

    The entry stands under the key that asked for the deletion, though the sweep did it.
    """
    rows = connection.execute(
        """
        WITH gone AS (
            DELETE FROM photo_deletions WHERE job_id = ANY(%s::uuid[])
            RETURNING tenant, collection, key_id
        )
        SELECT tenant, key_id, collection, count(*) FROM gone
        WHERE tenant IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """,
        [list(jobs)],
    ).fetchall()
    for tenant, key_id, collection, photos in rows:
        entry = audit.Entry(tenant, key_id, "photo.delete", collection, counts={"photos": photos})
        audit.record(connection, entry, now)
