"""Logging in by IAM role instead of by password: a signed URL, valid for minutes.

PostgreSQL (RDS) and Valkey (ElastiCache) take it in place of a password. It is signed here,
with the credentials of the process, so that asking for one is no call to AWS. Sources: RDS
user guide, "Connecting using IAM authentication"; ElastiCache user guide, "Authenticating
with IAM".
"""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

VALID_SECONDS = 900
SUFFIX = "+iam"

# Takes the service that signs ("rds-db", "elasticache"), the host that the URL names, and
# the query; returns what stands for the password.
Signer = Callable[[str, str, Mapping[str, str]], str]


class NoCredentials(RuntimeError):
    """The process has no AWS credentials that it could log in with."""


def by_iam(url: str) -> bool:
    """Whether a URL such as `postgresql+iam://user@host/db` asks for a login by role."""
    return urlsplit(url).scheme.endswith(SUFFIX)


def database_login(url: str, sign: "Signer | None" = None) -> str:
    """Return a libpq URL with a fresh token as its password; any other URL as it is.

    Parameters
    ----------
    url : `postgresql+iam://user@host:port/database?sslmode=verify-full`.

    Raises
    ------
    NoCredentials
        When there is nothing to sign with.
    """
    if not by_iam(url):
        return url
    parts = urlsplit(url)
    user, host, port = parts.username or "", parts.hostname or "", parts.port or 5432
    query = {"Action": "connect", "DBUser": unquote(user)}
    token = (sign or signed)("rds-db", f"{host}:{port}", query)
    # All of it but the letters and digits is escaped: it holds & and =.
    password = "".join(f"%{byte:02X}" for byte in token.encode())
    place = f"{user}:{password}@{host}:{port}"
    return urlunsplit(
        (parts.scheme.removesuffix(SUFFIX), place, parts.path, parts.query, parts.fragment)
    )


def cache_login(url: str, sign: "Signer | None" = None) -> tuple[str, str, Callable[[], str]]:
    """Return the URL without a login, the user, and what makes a fresh token for each connection.

    Parameters
    ----------
    url : `rediss+iam://user@host:port/cluster`.
    """
    parts = urlsplit(url)
    user, cluster = unquote(parts.username or ""), parts.path.strip("/")
    place = f"{parts.hostname}:{parts.port or 6379}"
    plain = urlunsplit((parts.scheme.removesuffix(SUFFIX), place, "/0", parts.query, ""))

    def token() -> str:
        query = {"Action": "connect", "User": user}
        return (sign or signed)("elasticache", cluster, query)

    return plain, user, token


def signed(service: str, host: str, query: Mapping[str, str]) -> str:
    """Sign with the credentials and the region that boto3 finds; a `Signer`.

    Raises
    ------
    NoCredentials
        When there are none.
    """
    # Only here: a process that logs in by password never loads it.
    import os

    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.session import get_session

    session = get_session()
    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentials("there are no AWS credentials to log in with")
    region = os.environ.get("AWS_REGION") or session.get_config_variable("region") or ""
    request = AWSRequest("GET", f"https://{host}/", params=dict(query))
    SigV4QueryAuth(
        credentials.get_frozen_credentials(), service, region, expires=VALID_SECONDS
    ).add_auth(request)
    return str(request.url).removeprefix("https://")


def query_of(token: str) -> dict[str, str]:
    """Return the query of a token, for tests and for looking into one."""
    return dict(parse_qsl(urlsplit(f"https://{token}").query))
