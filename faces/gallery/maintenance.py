"""What is deleted because its time is over."""

from datetime import datetime, timedelta

from faces.gallery.database import Connection
from faces.gallery.records import Purged

# A worker follows the feed before each batch; one that was away for longer loads anew.
FEED_KEPT = timedelta(days=1)


def purge_expired(connection: Connection, now: datetime) -> Purged:
    """Delete expired unknown faces and old rows of the feed; runs in a transaction."""
    unmatched = connection.execute("DELETE FROM unmatched_faces WHERE expires_at <= %s", [now])
    connection.execute("SELECT lock_feed()")
    changes = connection.execute(
        "DELETE FROM changes WHERE changed_at < %s RETURNING position", [now - FEED_KEPT]
    ).fetchall()
    if changes:
        pruned_to = max(position for (position,) in changes)
        connection.execute("UPDATE feed SET pruned_to = greatest(pruned_to, %s)", [pruned_to])
    return Purged(unmatched_faces=unmatched.rowcount, changes=len(changes))
