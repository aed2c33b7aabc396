"""What became of one photo of many."""

from dataclasses import dataclass

from faces.client.errors import ClientError, JobFailed
from faces.client.photos import Source
from faces.contracts.jobs import JobState, JobView
from faces.contracts.results import JobResult


@dataclass(frozen=True)
class Answer:
    """What became of one photo.

    Attributes
    ----------
    photo : as it was given.
    job_id : None where the photo was never sent.
    result : where the job succeeded.
    error : why there is no result.
    """

    photo: Source
    job_id: str | None = None
    result: JobResult | None = None
    error: ClientError | None = None

    @classmethod
    def of(cls, photo: Source, view: JobView) -> "Answer":
        """Return what a job that has ended says."""
        if view.state is JobState.SUCCEEDED and view.result is not None:
            return cls(photo, view.job_id, result=view.result)
        return cls(photo, view.job_id, error=JobFailed(view))

    def unwrap(self) -> JobResult:
        """Return the result or raise the error."""
        if self.error is not None:
            raise self.error
        assert self.result is not None, "an answer holds one of both"
        return self.result
