"""Tokens that stand for passwords: what boto3 makes, escaped as libpq wants it."""

from collections.abc import Mapping

import boto3
import pytest
from psycopg.conninfo import conninfo_to_dict

from faces.iam_login import (
    NoCredentials,
    by_iam,
    cache_login,
    database_login,
    query_of,
    signed,
)

HOST = "db.abc.eu-west-1.rds.amazonaws.com"
URL = f"postgresql+iam://faces_app@{HOST}:5432/faces?sslmode=verify-full"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session/+=")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


def without_time(token: str) -> dict[str, str]:
    query = query_of(token)
    return {key: query[key] for key in query if key not in ("X-Amz-Date", "X-Amz-Signature")}


@pytest.mark.usefixtures("credentials")
def test_a_database_token_is_the_one_that_boto3_makes() -> None:
    token = str(conninfo_to_dict(database_login(URL))["password"])
    rds = boto3.client("rds", region_name="eu-west-1")
    theirs = rds.generate_db_auth_token(DBHostname=HOST, Port=5432, DBUsername="faces_app")
    assert without_time(token) == without_time(theirs)
    assert token.split("?")[0] == theirs.split("?")[0]
    # In the same second the signatures are equal, too.
    if query_of(token)["X-Amz-Date"] == query_of(theirs)["X-Amz-Date"]:
        assert token == theirs


@pytest.mark.usefixtures("credentials")
def test_everything_but_the_password_stays() -> None:
    login = conninfo_to_dict(database_login(URL))
    login.pop("password")
    assert login == {
        "user": "faces_app",
        "host": HOST,
        "port": "5432",
        "dbname": "faces",
        "sslmode": "verify-full",
    }


def test_a_url_with_a_password_is_left_as_it_is() -> None:
    plain = "postgresql://me:secret@127.0.0.1/faces"
    assert not by_iam(plain)
    assert database_login(plain) == plain


def test_each_connection_gets_a_new_token() -> None:
    made: list[tuple[str, str, Mapping[str, str]]] = []

    def sign(service: str, host: str, query: Mapping[str, str]) -> str:
        made.append((service, host, query))
        return f"token&{len(made)}"

    url, user, token = cache_login("rediss+iam://app@cache.example:6379/x-cache", sign)
    assert (url, user) == ("rediss://cache.example:6379/0", "app")
    assert [token(), token()] == ["token&1", "token&2"]
    assert made[0] == ("elasticache", "x-cache", {"Action": "connect", "User": "app"})
    assert conninfo_to_dict(database_login(URL, sign))["password"] == "token&3"


def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    with pytest.raises(NoCredentials):
        signed("rds-db", "host:5432", {})
