"""Telling AWS being away from everything else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from faces.contracts.errors import TransientError

HALF_ANSWER = (ResponseParserError, ValueError)
"""What botocore raises for an answer that was cut off in the middle."""


@contextmanager
def aws_call(what: str) -> Iterator[None]:
    """Turn every failure of an AWS call into TransientError.

    Also a refused permission: it is the installation that is wrong, not the photo, so
    the job must survive until somebody has set it right.
    """
    try:
        yield
    except (ClientError, BotoCoreError, HTTPError, OSError, *HALF_ANSWER) as error:
        raise TransientError(f"{what} failed: {error}") from error


def require_whole(answer: Mapping[str, object]) -> None:
    """Raise TransientError for an object's answer that ended in the middle of its head.

    Python's HTTP client takes the lines that came; S3 sends the length after the metadata.
    """
    if "ContentLength" not in answer:
        raise TransientError("an answer of S3 was cut off")


def error_code(error: ClientError) -> str:
    """Return AWS's code of the error, such as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", ""))
