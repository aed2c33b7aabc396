"""What can go wrong for a client.

The tree::

    ClientError
    ├── PhotoNotReadable       the file to be sent is not there or cannot be read
    ├── ConnectionFailed       the service could not be reached, also after trying again
    ├── ApiError               the service answered with a problem document
    ├── UnexpectedAnswer       something answered that is not this service
    ├── UploadRefused          S3 refused the photo; carries S3's code and reason
    ├── JobFailed              the job ended without an answer; carries code and sentence
    ├── JobTimeout             the job has not ended in the time given; it may end later
    └── BatchTimeout           as much of a batch
"""

from faces.contracts.batches import BatchView
from faces.contracts.errors import CATALOGUE, ErrorCode, ErrorInfo, Problem
from faces.contracts.jobs import JobState, JobView


class ClientError(Exception):
    """Base of everything that the client raises on purpose.

    Attributes
    ----------
    retryable : whether the very same call may succeed later.
    """

    retryable = False


class PhotoNotReadable(ClientError):
    """The file to be sent is not there or cannot be read."""


class ConnectionFailed(ClientError):
    """The service could not be reached, also after trying again."""

    retryable = True


class ApiError(ClientError):
    """The service answered with a problem document (RFC 9457).

    Attributes
    ----------
    problem : the document; its `request_id` finds the log lines.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        where = f" (field {problem.field})" if problem.field else ""
        super().__init__(f"{problem.code}: {problem.detail}{where} [request {problem.request_id}]")

    @property
    def code(self) -> ErrorCode:
        """Stable code of the catalogue."""
        return self.problem.code

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.problem.status

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        """Whether the very same request may succeed later."""
        return CATALOGUE[self.code].retryable


class UnexpectedAnswer(ClientError):
    """Something answered that is not this service, such as a proxy between."""

    def __init__(self, status: int, excerpt: str) -> None:
        self.status = status
        super().__init__(f"HTTP {status} without a problem document: {excerpt!r}")


class UploadRefused(ClientError):
    """S3 refused the photo.

    Attributes
    ----------
    status : HTTP status.
    code, reason : as S3 gave them, such as `EntityTooLarge`.
    """

    def __init__(self, status: int, code: str, reason: str) -> None:
        self.status = status
        self.code = code
        self.reason = reason
        super().__init__(f"{code}: {reason}")


class JobFailed(ClientError):
    """The job ended without an answer.

    Attributes
    ----------
    view : the job as it was answered.
    error : code and sentence for a person.
    """

    def __init__(self, view: JobView) -> None:
        self.view = view
        self.error = view.error or _error_of(view)
        super().__init__(f"{self.error.code}: {self.error.message} [job {view.job_id}]")

    @property
    def code(self) -> ErrorCode:
        """Stable code of the catalogue."""
        return self.error.code


class JobTimeout(ClientError):
    """The job has not ended in the time given; it may end later.

    Attributes
    ----------
    view : the job as it was last seen.
    seconds : how long was waited.
    """

    retryable = True

    def __init__(self, view: JobView, seconds: float) -> None:
        self.view = view
        self.seconds = seconds
        super().__init__(f"job {view.job_id} is still {view.state} after {seconds:.1f} s")


class BatchTimeout(ClientError):
    """Some jobs of a batch have not ended in the time given; they may end later.

    Attributes
    ----------
    view : the batch as it was last seen.
    seconds : how long was waited.
    """

    retryable = True

    def __init__(self, view: BatchView, seconds: float) -> None:
        self.view = view
        self.seconds = seconds
        left = sum(not job.state.final for job in view.jobs)
        super().__init__(
            f"batch {view.batch_id}: {left} of {view.total} jobs have not ended "
            f"after {seconds:.1f} s"
        )


def _error_of(view: JobView) -> ErrorInfo:
    """Return the error of a failed job whose view carries none of its own."""
    if view.result is not None and view.result.error is not None:
        return view.result.error
    code = ErrorCode.JOB_EXPIRED if view.state is JobState.EXPIRED else ErrorCode.INTERNAL
    return ErrorInfo(code=code, title=CATALOGUE[code].title, message=CATALOGUE[code].sentence)
