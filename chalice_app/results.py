"""Reads results, writes those of the front end, and tells of them.

The front end writes failures, for uploads that no worker can answer and for jobs whose
messages ended as dead letters, and answers that are repeated. Whoever writes first wins
(`If-None-Match: *`); only a deletion writes over a result.
"""

from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from chalice_app.aws import Objects, Queues
from chalice_app.observability import logger
from faces.cache.cache import Cache, NoCache
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import id_time
from faces.contracts.jobs import JobDone, JobKind, JobRequest, JobState
from faces.contracts.names import StackNames, result_key
from faces.contracts.results import JobResult
from faces.contracts.version import CODE_VERSION


class Results:
    """The results of one stack.

    Parameters
    ----------
    clock : returns the present time (aware).
    cache : keeps results to be read fast, and wakes who waits for them.
    """

    def __init__(
        self,
        objects: Objects,
        queues: Queues,
        names: StackNames,
        clock: Callable[[], datetime],
        cache: Cache | None = None,
    ) -> None:
        self._objects = objects
        self._queues = queues
        self._names = names
        self._clock = clock
        self._cache = cache or NoCache()

    def read(self, job_id: str) -> JobResult | None:
        """Return a job's result, or None where there is none yet.

        Raises
        ------
        pydantic.ValidationError
            When this version cannot read it.
        """
        body = self._cache.result(job_id)
        if body is None:
            body = self._objects.read(self._names.out_bucket, result_key(job_id))
            if body is not None:
                self._cache.keep_result(job_id, body)
        return None if body is None else JobResult.model_validate_json(body)

    def fail(self, job_id: str, request: JobRequest, error: FacesError) -> bool:
        """End a job as failed, unless it has a result, and tell of what stands there.

        The message is sent in both cases: an earlier try may have ended between the two
        steps, and a second message about the same job does no harm.

        Returns
        -------
        bool
            Whether this call ended the job.
        """
        return self.end(self._failure(job_id, request, error), request)

    def end(self, result: JobResult, request: JobRequest) -> bool:
        """Write a result, unless the job has one, and tell of what stands there.

        Returns
        -------
        bool
            Whether this call ended the job.
        """
        body = result.model_dump_json().encode()
        written = self._objects.create(self._names.out_bucket, result_key(result.job_id), body)
        if written:
            self._cache.keep_result(result.job_id, body)
            self._announce(result, request)
        else:
            self.announce_stored(result.job_id, request)
        return written

    def delete(self, job_id: str, request: JobRequest) -> None:
        """Put in place of a job's result that it was deleted; a late worker cannot undo it."""
        deleted = self._failure(job_id, request, FacesError(ErrorCode.JOB_DELETED))
        body = deleted.model_dump_json().encode()
        self._objects.put(self._names.out_bucket, result_key(job_id), body)
        self._cache.replace_result(job_id, body)
        self._forget_answer(job_id)

    def expire(self, job_id: str) -> None:
        """Delete a job's result, from the cache too, when its time is over."""
        self._objects.delete(self._names.out_bucket, result_key(job_id))
        self._cache.forget_result(job_id)
        self._forget_answer(job_id)

    def _forget_answer(self, job_id: str) -> None:
        question = self._cache.question(job_id)
        if question is not None:
            self._cache.forget_answer(question.key)

    def reopen(self, job_id: str) -> None:
        """Take back that a job was given up, so that another answer can be written.

        Raises
        ------
        FacesError
            `job_answered` when the job has another answer; `job_deleted`.
        """
        # Not the cache's: it may be older.
        body = self._objects.read(self._names.out_bucket, result_key(job_id))
        if body is not None:
            error = JobResult.model_validate_json(body).error
            if error is None or error.code is not ErrorCode.WORKER_GAVE_UP:
                deleted = error is not None and error.code is ErrorCode.JOB_DELETED
                raise FacesError(ErrorCode.JOB_DELETED if deleted else ErrorCode.JOB_ANSWERED)
            self._objects.delete(self._names.out_bucket, result_key(job_id))
        self._cache.forget_result(job_id)

    def _failure(self, job_id: str, request: JobRequest, error: FacesError) -> JobResult:
        return JobResult(
            job_id=job_id,
            kind=request.kind.value,
            tenant=request.tenant,
            collection=request.collection,
            file_name=request.file_name,
            state="failed",
            error=error.info(),
            code_version=CODE_VERSION,
            submitted_at=id_time(job_id),
            finished_at=self._clock(),
        )

    def exists(self, job_id: str) -> bool:
        """Return whether a job has a result."""
        return self._objects.head(self._names.out_bucket, result_key(job_id)) is not None

    def announce_stored(self, job_id: str, request: JobRequest) -> None:
        """Put the end of a job on the resp-queue as its result tells it."""
        try:
            result = self.read(job_id)
        except ValidationError:
            # A newer version wrote it, and told of it; this one has nothing to add.
            logger.warning("the result is of another version")
            return
        if result is not None:
            self._announce(result, request)

    def _announce(self, result: JobResult, request: JobRequest) -> None:
        done = JobDone(
            job_id=result.job_id,
            kind=JobKind(result.kind),
            state=JobState(result.state),
            tenant=result.tenant,
            error_code=None if result.error is None else result.error.code,
            callback_url=request.callback_url,
            submitted_at=result.submitted_at,
            finished_at=result.finished_at,
        )
        self._queues.send(self._names.resp_queue, done.model_dump_json(exclude_none=True))
