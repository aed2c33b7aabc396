"""What is deleted because its time is over, and what the sweep of the buckets must know."""

from datetime import datetime, timedelta

from faces.contracts.collections import CollectionSettings, Retention
from faces.gallery.database import Connection
from faces.gallery.records import Purged

# A worker follows the feed before each batch; one that was away for longer loads anew.
FEED_KEPT = timedelta(days=1)
# SQS keeps a message for 14 days at most.
ENROLLED_KEPT = timedelta(days=15)


def purge_expired(connection: Connection, now: datetime) -> Purged:
    """Delete expired unknown faces and old rows of the feed; runs in a transaction."""
    unmatched = connection.execute("DELETE FROM unmatched_faces WHERE expires_at <= %s", [now])
    connection.execute("DELETE FROM enrolled_once WHERE enrolled_at < %s", [now - ENROLLED_KEPT])
    connection.execute("SELECT lock_feed()")
    changes = connection.execute(
        "DELETE FROM changes WHERE changed_at < %s RETURNING position", [now - FEED_KEPT]
    ).fetchall()
    if changes:
        pruned_to = max(position for (position,) in changes)
        connection.execute("UPDATE feed SET pruned_to = greatest(pruned_to, %s)", [pruned_to])
    return Purged(unmatched_faces=unmatched.rowcount, changes=len(changes))


def retentions(connection: Connection) -> dict[tuple[str, str], Retention]:
    """Return how long each collection, by tenant and name, keeps what."""
    rows = connection.execute("SELECT tenant, name, settings FROM collections").fetchall()
    return {
        (tenant, name): CollectionSettings.model_validate(settings).retention
        for tenant, name, settings in rows
    }


def swept_to(connection: Connection) -> datetime:
    """Return up to when the buckets were swept; 1970 when all must be looked at.

    That is written down: settings that change from now on take it away (null).
    """
    row = connection.execute(
        "UPDATE sweeps SET swept_to = coalesce(swept_to, 'epoch') RETURNING swept_to"
    ).fetchone()
    assert row is not None, "the table `sweeps` has one row"
    found: datetime = row[0]
    return found


def note_sweep(connection: Connection, before: datetime, now: datetime) -> None:
    """Note that a sweep which began at `now` is done, unless settings changed meanwhile."""
    connection.execute("UPDATE sweeps SET swept_to = %s WHERE swept_to = %s", [now, before])
