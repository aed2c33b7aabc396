"""Connections to PostgreSQL that outlive it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
from psycopg.rows import TupleRow

from faces.contracts.errors import TransientError
from faces.iam_login import NoCredentials, database_login

Connection = psycopg.Connection[TupleRow]
# Hands out a connection in autocommit mode for the time of a `with` block; raises
# TransientError where the database cannot be reached or goes away meanwhile.
ConnectionSource = Callable[[], AbstractContextManager[Connection]]

_CONNECT_SECONDS = 5
_SILENCE_MS = 10_000


def connect(url: str) -> Connection:
    """Connect to `url` in autocommit mode.

    Parameters
    ----------
    url : in libpq's form; with `postgresql+iam://` the password is a token of the
        process's IAM role, a fresh one for each connection.

    Raises
    ------
    psycopg.OperationalError
        When the database does not answer within 5 s or refuses.
    """
    try:
        login = database_login(url)
    except NoCredentials as error:
        raise psycopg.OperationalError(str(error)) from error
    return psycopg.connect(
        login,
        autocommit=True,
        # Server-side prepared statements would pin a session behind RDS Proxy.
        prepare_threshold=None,
        connect_timeout=_CONNECT_SECONDS,
        # A peer that vanished without a word is noticed after this time, not in hours.
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=_SILENCE_MS,
        application_name="faces",
    )


class KeptConnection:
    """A `ConnectionSource` with one connection, kept open and checked before each use.

    For Lambdas, whose sockets may die while they are frozen, and for the worker, which
    survives a restart of the database. Threads that share it take turns.

    Parameters
    ----------
    url : libpq URL. Nothing connects before the first use.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def __call__(self) -> Iterator[Connection]:
        """Hand out the connection; at the end of the block nothing is left open in it.

        Raises
        ------
        TransientError
            When the database is away, or ended a statement that may succeed when tried
            again (deadlock, shutdown).
        """
        with self._lock:
            try:
                yield self._checked()
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise TransientError from error

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _checked(self) -> Connection:
        if self._connection is not None:
            try:
                self._connection.execute("SELECT 1")
            except psycopg.Error:
                self._connection.close()
            else:
                return self._connection
        self._connection = connect(self._url)
        return self._connection
