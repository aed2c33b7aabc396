"""Brings the gallery's database up to date; called by every deployment.

The database lies in private subnets, so the computer that deploys cannot do it.
"""

import json
import os
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from chalice_app.observability import logger
from faces.contracts.settings import DatabaseSettings
from faces.iam_login import SUFFIX, by_iam

SECRET_VARIABLE = "DATABASE_SECRET_ARN"  # noqa: S105 - a name


class Secrets(Protocol):
    """What is needed of Secrets Manager."""

    def get_secret_value(self, *, SecretId: str) -> Any: ...  # noqa: N803 - boto3's name


def master_url(url: str, secret: str) -> str:
    """Return the master's URL of the database that `url` names.

    Parameters
    ----------
    secret : JSON with `username` and `password`, as RDS keeps it.
    """
    parts, login = urlsplit(url), json.loads(secret)
    user, password = quote(login["username"], safe=""), quote(login["password"], safe="")
    place = f"{user}:{password}@{parts.hostname}:{parts.port or 5432}"
    return parts._replace(scheme=parts.scheme.removesuffix(SUFFIX), netloc=place).geturl()


def run(
    settings: DatabaseSettings, secret_arn: str, secrets: Callable[[], Secrets]
) -> dict[str, list[str]]:
    """Make the database's user, where it logs in by role and cannot yet, then apply what is
    missing.

    A database that was restored from a backup has the user, but another master's password
    than the secret.

    Returns
    -------
    dict
        `applied`: the names of the migrations that were applied now.

    Raises
    ------
    psycopg.OperationalError
        When the database cannot be reached.
    MigrationError
        When the schema cannot be brought up to date.
    """
    from faces.gallery.database import connect
    from faces.gallery.migrations import migrate
    from faces.gallery.roles import prepare

    url = settings.database_url
    if by_iam(url) and secret_arn and not _logs_in(url):
        secret = secrets().get_secret_value(SecretId=secret_arn)["SecretString"]
        with connect(master_url(url, secret)) as connection:
            new = prepare(connection, urlsplit(url).username or "")
        logger.info("the database's user is there", new=new)
    with connect(url) as connection:
        applied = migrate(connection)
    logger.info("the schema is up to date", applied=applied)
    return {"applied": applied}


def _logs_in(url: str) -> bool:
    import psycopg

    from faces.gallery.database import connect

    try:
        connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def secret_arn() -> str:
    """Return the secret that holds the master's password; empty where there is none."""
    return os.environ.get(SECRET_VARIABLE, "")
