"""The API keys of tenants: made, listed, revoked, and let in."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from psycopg.rows import TupleRow

from faces.contracts.errors import ErrorCode, FacesError, TooManyRequests
from faces.contracts.ids import new_id, parse_id
from faces.contracts.keys import KeyCreated, KeyInfo, NewKey, Scope
from faces.gallery import audit
from faces.gallery.collections import ensure_tenant
from faces.gallery.database import Connection, ConnectionSource

_PREFIX_BYTES = 6
_SECRET_BYTES = 32
_FORM = re.compile(r"(ef_[0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_COLUMNS = "key_id, tenant, name, prefix, scopes, requests_per_minute, created_at, revoked_at"
# Refills the bucket for the time that passed and takes a token; no row when none is left.
_TAKE = """
    INSERT INTO key_buckets AS bucket (key_id, tokens, filled_at)
    VALUES (%(key_id)s, %(limit)s - 1, %(now)s)
    ON CONFLICT (key_id) DO UPDATE SET
        filled_at = greatest(bucket.filled_at, excluded.filled_at),
        tokens = least(%(limit)s, bucket.tokens + refill(bucket, %(limit)s, %(now)s)) - 1
        WHERE bucket.tokens + refill(bucket, %(limit)s, %(now)s) >= 1
    RETURNING tokens
"""


class KeyStore:
    """Keys of all tenants; raises TransientError while the database is away.

    Parameters
    ----------
    clock : returns the time, aware.
    """

    def __init__(self, connections: ConnectionSource, clock: Callable[[], datetime]) -> None:
        self._connections = connections
        self._clock = clock

    def create(self, tenant: str, new: NewKey, *, actor: str) -> KeyCreated:
        """Make a key; the tenant is made where it is missing.

        Parameters
        ----------
        actor : id of the key that asks for it, for the audit log.
        """
        prefix = f"ef_{secrets.token_hex(_PREFIX_BYTES)}"
        key = f"{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        made = KeyCreated(
            key_id=new_id(),
            tenant=tenant,
            name=new.name,
            prefix=prefix,
            scopes=tuple(sorted(set(new.scopes))),
            requests_per_minute=new.requests_per_minute,
            created_at=self._clock(),
            key=key,
        )
        with self._connections() as connection, connection.transaction():
            ensure_tenant(connection, tenant)
            connection.execute(
                "INSERT INTO api_keys (key_id, tenant, name, prefix, sha256, scopes, "
                "requests_per_minute, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    made.key_id,
                    tenant,
                    made.name,
                    prefix,
                    _sha256(key),
                    list(made.scopes),
                    made.requests_per_minute,
                    made.created_at,
                ],
            )
            entry = audit.Entry(tenant, actor, "key.create", target=made.key_id)
            audit.record(connection, entry, self._clock())
        return made

    def list_keys(self, tenant: str) -> tuple[KeyInfo, ...]:
        """Return a tenant's keys, the newest first, revoked ones included."""
        with self._connections() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM api_keys WHERE tenant = %s ORDER BY key_id DESC",  # noqa: S608
                [tenant],
            ).fetchall()
        return tuple(_info(row) for row in rows)

    def revoke(self, tenant: str, key_id: str, *, actor: str) -> KeyInfo:
        """Refuse a key from now on; again changes nothing.

        Raises
        ------
        FacesError
            `unknown_key` when the tenant has none of this id.
        """
        known = parse_id(key_id, unknown=ErrorCode.UNKNOWN_KEY)
        with self._connections() as connection, connection.transaction():
            row = connection.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, %s) "  # noqa: S608
                f"WHERE tenant = %s AND key_id = %s RETURNING {_COLUMNS}",
                [self._clock(), tenant, known],
            ).fetchone()
            if row is None:
                raise FacesError(ErrorCode.UNKNOWN_KEY)
            entry = audit.Entry(tenant, actor, "key.revoke", target=known)
            audit.record(connection, entry, self._clock())
        return _info(row)

    def admit(self, key: str) -> tuple[str, str, frozenset[Scope]] | None:
        """Return tenant, id and scopes of a key that may come in, else None.

        Raises
        ------
        TooManyRequests
            When the key's limit is reached.
        """
        form = _FORM.fullmatch(key)
        if form is None:
            return None
        with self._connections() as connection:
            row = connection.execute(
                "SELECT key_id, tenant, scopes, requests_per_minute, sha256 FROM api_keys "
                "WHERE prefix = %s AND revoked_at IS NULL",
                [form[1]],
            ).fetchone()
            if row is None or not hmac.compare_digest(_sha256(key), row[4]):
                return None
            key_id, tenant, scopes, limit, _ = row
            if limit is not None:
                self._take(connection, str(key_id), limit)
        return tenant, str(key_id), frozenset(Scope(scope) for scope in scopes)

    def _take(self, connection: Connection, key_id: str, limit: int) -> None:
        taken = connection.execute(
            _TAKE, {"key_id": key_id, "limit": limit, "now": self._clock()}
        ).fetchone()
        if taken is None:
            # One token comes back every 60 / limit seconds.
            raise TooManyRequests(retry_after=max(1, -(-60 // limit)))


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _info(row: TupleRow) -> KeyInfo:
    key_id, tenant, name, prefix, scopes, limit, created_at, revoked_at = row
    return KeyInfo(
        key_id=str(key_id),
        tenant=tenant,
        name=name,
        prefix=prefix,
        scopes=tuple(Scope(scope) for scope in scopes),
        requests_per_minute=limit,
        created_at=created_at.astimezone(UTC),
        revoked_at=revoked_at.astimezone(UTC) if revoked_at else None,
    )
