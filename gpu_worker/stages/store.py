"""Store: write the result, once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from faces.contracts.ids import id_time
from faces.contracts.results import JobResult, ModelInfo
from faces.contracts.version import CODE_VERSION
from gpu_worker.protocol import Task
from gpu_worker.publish import ResultStore


@dataclass(frozen=True)
class Store:
    """Writes results.

    Attributes
    ----------
    model, worker_id, image : stand in the result.
    clock : returns the time, aware.
    """

    results: ResultStore
    model: ModelInfo
    worker_id: str
    clock: Callable[[], datetime]
    image: str | None = None

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Store what is known of the jobs; what was stored before counts."""
        for task in tasks:
            if task.result is None:
                task.result = self.results.store(self._result(task))

    def _result(self, task: Task) -> JobResult:
        request = task.request
        return JobResult(
            job_id=task.job.job_id,
            kind=request.kind,
            tenant=request.tenant,
            collection=request.collection,
            file_name=request.file_name,
            state="succeeded" if task.error is None else "failed",
            error=None if task.error is None else task.error.info(),
            photo=task.info,
            faces=task.faces,
            left_out=task.left_out,
            enrolment=task.enrolment,
            verification=task.verification,
            model=self.model,
            timings_ms=task.timings.milliseconds(),
            worker_id=self.worker_id,
            image=self.image,
            code_version=CODE_VERSION,
            submitted_at=id_time(task.job.job_id),
            finished_at=self.clock(),
        )
