"""Photos that are to be deleted with what was made of them."""

from collections.abc import Sequence
from datetime import datetime

from faces.gallery.database import Connection


def request(connection: Connection, jobs: Sequence[str], now: datetime) -> None:
    """Have the photos of these jobs deleted; runs in the transaction of the deletion."""
    connection.execute(
        "INSERT INTO photo_deletions (job_id, requested_at) "
        "SELECT unnest(%s::uuid[]), %s ON CONFLICT DO NOTHING",
        [list(jobs), now],
    )


def pending(connection: Connection, limit: int) -> list[str]:
    """Return jobs whose photos are still to be deleted, the longest waiting first."""
    rows = connection.execute(
        "SELECT job_id FROM photo_deletions ORDER BY requested_at LIMIT %s", [limit]
    ).fetchall()
    return [str(job_id) for (job_id,) in rows]


def done(connection: Connection, jobs: Sequence[str]) -> None:
    """Forget requests that were carried out."""
    connection.execute("DELETE FROM photo_deletions WHERE job_id = ANY(%s::uuid[])", [list(jobs)])
