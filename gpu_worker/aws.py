"""Telling AWS being away from everything else."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from faces.contracts.errors import TransientError


@contextmanager
def aws_call(what: str) -> Iterator[None]:
    """Turn every failure of an AWS call into TransientError.

    Also a refused permission: it is the installation that is wrong, not the photo, so
    the job must survive until somebody has set it right.
    """
    try:
        yield
    except (ClientError, BotoCoreError, HTTPError, OSError) as error:
        raise TransientError(f"{what} failed: {error}") from error


def error_code(error: ClientError) -> str:
    """Return AWS's code of the error, such as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", ""))
