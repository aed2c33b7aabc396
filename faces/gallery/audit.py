"""The audit log: written in the transaction of what it tells of, never changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from faces.contracts.audit import AuditEntry, AuditPage, AuditQuery
from faces.contracts.ids import new_id
from faces.gallery import cursors
from faces.gallery.database import Connection, ConnectionSource

SYSTEM = "system"


@dataclass(frozen=True)
class Entry:
    """What is to be recorded; the attributes are those of `contracts.audit.AuditEntry`."""

    tenant: str
    key_id: str
    action: str
    collection: str | None = None
    target: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


def record(connection: Connection, entry: Entry, now: datetime) -> None:
    """Write an entry; runs in the transaction of the change."""
    connection.execute(
        "INSERT INTO audit_log "
        "(entry_id, tenant, recorded_at, key_id, action, collection, target, counts) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            new_id(),
            entry.tenant,
            now,
            entry.key_id,
            entry.action,
            entry.collection,
            entry.target,
            json.dumps(dict(entry.counts)),
        ],
    )


class AuditLog:
    """Reads the log; raises TransientError while the database is away."""

    def __init__(self, connections: ConnectionSource) -> None:
        self._connections = connections

    def page(self, tenant: str, query: AuditQuery) -> AuditPage:
        """Return a tenant's entries, the newest first; InvalidInput for a wrong cursor."""
        texts = (query.collection, query.target, query.action)
        if any(text is not None and not text.isprintable() for text in texts):
            return AuditPage(entries=())
        with self._connections() as connection:
            rows = connection.execute(
                """
                SELECT entry_id, recorded_at, key_id, action, collection, target, counts
                FROM audit_log
                WHERE tenant = %(tenant)s
                  AND (%(collection)s::text IS NULL OR collection = %(collection)s)
                  AND (%(target)s::text IS NULL OR target = %(target)s)
                  AND (%(action)s::text IS NULL OR action = %(action)s)
                  AND (%(before)s::uuid IS NULL OR entry_id < %(before)s)
                ORDER BY entry_id DESC
                LIMIT %(limit)s
                """,
                {
                    "tenant": tenant,
                    "collection": query.collection,
                    "target": query.target,
                    "action": query.action,
                    "before": cursors.read_id(query.cursor),
                    "limit": query.limit + 1,
                },
            ).fetchall()
        entries = tuple(
            AuditEntry(
                entry_id=str(row[0]),
                recorded_at=row[1].astimezone(UTC),
                key_id=row[2],
                action=row[3],
                collection=row[4],
                target=row[5],
                counts=row[6],
            )
            for row in rows[: query.limit]
        )
        more = entries[-1].entry_id if len(rows) > query.limit else None
        return AuditPage(entries=entries, next_cursor=more)
