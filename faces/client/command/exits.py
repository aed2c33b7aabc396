"""Exit codes that scripts can rely on, and what to do about each error."""

from dataclasses import dataclass
from enum import IntEnum

from pydantic import ValidationError

from faces.client.errors import (
    ApiError,
    BatchTimeout,
    ClientError,
    ConnectionFailed,
    JobFailed,
    JobTimeout,
    PhotoNotReadable,
    UnexpectedAnswer,
    UploadRefused,
)
from faces.client.transfer import DamagedExport
from faces.contracts.errors import ErrorCode


class ExitCode(IntEnum):
    """What a command's exit code means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_ALLOWED = 3
    UNREACHABLE = 4
    SOME_FAILED = 5
    NOT_FOUND = 6
    TIMED_OUT = 7
    NO_MATCH = 10
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "everything was done",
    ExitCode.FAILED: "it could not be done; the message says why",
    ExitCode.USAGE: "the command was not given rightly",
    ExitCode.NOT_ALLOWED: "there is no API key, or it may not do that",
    ExitCode.UNREACHABLE: "the service could not be reached; the same command may succeed later",
    ExitCode.SOME_FAILED: "some photos (or people, or letters) failed, the others are done",
    ExitCode.NOT_FOUND: "there is no such person, collection, job or file",
    ExitCode.TIMED_OUT: "no answer came in the time given; the work goes on",
    ExitCode.NO_MATCH: "`verify`: another person; `identify --require-match`: somebody unknown",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C; the same command goes on where it stopped",
}


class CommandError(ClientError):
    """Something that only the command line can meet.

    Parameters
    ----------
    advice : what to do about it.
    """

    def __init__(self, message: str, advice: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.advice = advice
        self.exit_code = exit_code


@dataclass(frozen=True)
class Told:
    """An error as a person is told: what happened, what to do, and the exit code."""

    what: str
    advice: str
    exit_code: ExitCode


_LOGIN = "Run `faces login`, or set FACES_URL and FACES_API_KEY."
_BY_CODE = {
    ErrorCode.UNAUTHENTICATED: _LOGIN,
    ErrorCode.FORBIDDEN: "Use a key with the needed scope; `faces keys list` shows the scopes.",
    ErrorCode.UNKNOWN_PERSON: "`faces people list` shows who is there.",
    ErrorCode.UNKNOWN_COLLECTION: "`faces collections list` shows what is there.",
    ErrorCode.UNKNOWN_KEY: "`faces keys list` shows the keys.",
    ErrorCode.UNKNOWN_ROUTE: "The service is older than this command; update one of both.",
    ErrorCode.LOOKS_LIKE_ANOTHER: "Look at both faces; `--force` enrols it all the same.",
    ErrorCode.DUPLICATE_FACE: "Use another photo; `--force` enrols it all the same.",
    ErrorCode.POOR_FACE: "Use a better photo; `--force` enrols it all the same.",
    ErrorCode.TOO_MANY_REQUESTS: "Send less at once (`--at-once`), or ask for a higher limit.",
}


def told(error: Exception) -> Told:
    """Return how a person is told of an error."""
    match error:
        case CommandError():
            return Told(str(error), error.advice, error.exit_code)
        case ApiError():
            return Told(
                f"{error.problem.title}: {error.problem.detail}",
                _advice(error),
                _exit_of_status(error.status),
            )
        case JobFailed():
            advice = _BY_CODE.get(error.code, "Change what the sentence says, and send it again.")
            return Told(f"{error.code}: {error.error.message}", advice, ExitCode.FAILED)
        case JobTimeout():
            advice = f"Ask again later: `faces jobs wait {error.view.job_id}`."
            return Told(str(error), advice, ExitCode.TIMED_OUT)
        case BatchTimeout():
            return Told(str(error), "Run the same command again later.", ExitCode.TIMED_OUT)
        case ConnectionFailed():
            advice = "Is the service up (`faces status`, `make up`), and FACES_URL right?"
            return Told(str(error), advice, ExitCode.UNREACHABLE)
        case UnexpectedAnswer():
            advice = "Check the address: `faces status` shows it. A proxy may stand between."
            return Told(str(error), advice, ExitCode.UNREACHABLE)
        case UploadRefused():
            advice = "Check the photo's size and type; then run the same command again."
            return Told(str(error), advice, ExitCode.FAILED)
        case PhotoNotReadable():
            return Told(str(error), "Check the path and its permissions.", ExitCode.NOT_FOUND)
        case DamagedExport():
            advice = "Export the collection again; nothing of this file was imported."
            return Told(str(error), advice, ExitCode.FAILED)
        case ValidationError():
            return Told(_of_validation(error), "`--help` shows what is allowed.", ExitCode.USAGE)
        case OSError():
            code = ExitCode.NOT_FOUND if isinstance(error, FileNotFoundError) else ExitCode.FAILED
            return Told(str(error), "Check the path, its permissions and the disk.", code)
        case _:
            return Told(str(error), "Run the command again.", ExitCode.FAILED)


def _advice(error: ApiError) -> str:
    request = error.problem.request_id
    known = _BY_CODE.get(error.code)
    if known is not None:
        return known
    if error.status >= 500:
        return f"Try again; if it stays so, report the request {request}."
    return f"Change what the sentence says. (request {request})"


def _exit_of_status(status: int) -> ExitCode:
    if status in (401, 403):
        return ExitCode.NOT_ALLOWED
    if status in (404, 410):
        return ExitCode.NOT_FOUND
    return ExitCode.UNREACHABLE if status in (429, 503) else ExitCode.FAILED


def _of_validation(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
