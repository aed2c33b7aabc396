"""Fetch: the upload's request and bytes, or the result that an earlier delivery stored."""

from collections.abc import Sequence
from dataclasses import dataclass

from faces.contracts.errors import FacesError, TransientError
from faces.contracts.jobs import DEFAULT_TENANT, JobKind, JobRequest
from gpu_worker.protocol import Task
from gpu_worker.publish import ResultStore
from gpu_worker.uploads import UploadStore


@dataclass(frozen=True)
class Fetch:
    """Reads uploads."""

    uploads: UploadStore
    results: ResultStore

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Fill in request and bytes.

        Raises
        ------
        FacesError
            When the upload or its request is not usable.
        TransientError
            When S3 is away.
        """
        for task in tasks:
            self._fetch(task)

    def _fetch(self, task: Task) -> None:
        metadata: dict[str, str] = {}
        try:
            upload = self.uploads.open(task.job.key)
            metadata = upload.metadata
            task.request = JobRequest.from_metadata(metadata)
        except TransientError:
            raise
        except FacesError:
            task.request = _best_guess(metadata)
            if not self._known(task):
                raise
            return
        if not self._known(task):
            task.data = upload.read()

    def _known(self, task: Task) -> bool:
        """Whether an earlier delivery came to a result already."""
        if task.message.redelivered:
            task.result = self.results.stored(task.job.job_id)
        return task.result is not None


def _best_guess(metadata: dict[str, str]) -> JobRequest:
    """Return what can be told of a request that is not whole, so that its client is."""
    kind = metadata.get("kind", "")
    return JobRequest(
        kind=JobKind(kind) if kind in {JobKind.IDENTIFY, JobKind.DETECT} else JobKind.IDENTIFY,
        tenant=metadata.get("tenant", DEFAULT_TENANT),
    )
