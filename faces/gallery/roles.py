"""The database user of Lambdas and workers, made by the database's master.

On RDS a user logs in by IAM role when `rds_iam` is granted to it (RDS user guide,
"Creating a database account using IAM authentication").
"""

from psycopg import sql

from faces.gallery.database import Connection

IAM_ROLE = "rds_iam"


def prepare(connection: Connection, user: str) -> bool:
    """Make `user` able to log in by IAM role and to make the schema; harmless when repeated.

    Parameters
    ----------
    connection : the master's, in autocommit mode.

    Returns
    -------
    bool
        Whether the user is new.
    """
    name = sql.Identifier(user)
    with connection.transaction():
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(IAM_ROLE), name))
        connection.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(name))
        # Only a master may; the migrations find it there.
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    return known is None
