"""Batches: a list of jobs in one object, counted with few calls.

All jobs of a batch are made at the same millisecond, so their ids, which start with their
time, share a prefix: one listing each tells which photos and which results are there. What
a result says is read once and remembered with the batch.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from chalice_app.aws import ObjectInfo, Objects
from chalice_app.jobs import check_callback, id_secret, open_state
from chalice_app.observability import logger
from chalice_app.results import Results
from chalice_app.uploads import upload_form
from faces.contracts.batches import BatchCreated, BatchJob, BatchView, NewBatch, StoredBatch
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import check_job_id, id_time, new_job_id
from faces.contracts.jobs import JobCreated, JobRequest, JobState
from faces.contracts.names import RESULT_PREFIX, UPLOAD_PREFIX, batch_key, upload_key
from faces.contracts.settings import ApiSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_READERS = 8
# The 48 bits of time at the start of a UUIDv7, with the hyphen between.
_TIME_LENGTH = 13


@dataclass(frozen=True)
class Batches:
    """The batches of one stack.

    Attributes
    ----------
    clock : returns the present time (aware).
    """

    settings: ApiSettings
    objects: Objects
    results: Results
    clock: Callable[[], datetime]

    def open(
        self, body: NewBatch, *, tenant: str, key_id: str | None, s3: "S3Client", base_url: str
    ) -> BatchCreated:
        """Return a new batch with an upload form for each photo.

        Raises
        ------
        InvalidInput
            When a request cannot be carried out; see `jobs.open_job`.
        """
        check_callback(body.callback_url, self.settings)
        now, secret = self.clock(), id_secret(self.settings)
        batch_id = new_job_id(secret, _owner(tenant), now)
        ids: dict[str, None] = {}
        while len(ids) < len(body.photos):
            ids[new_job_id(secret, tenant, now)] = None
        created = []
        for job_id, job in zip(ids, body.jobs(), strict=True):
            request = JobRequest(**dict(job), tenant=tenant, key_id=key_id)
            created.append(
                JobCreated(
                    job_id=job_id,
                    upload=upload_form(s3, self.settings, job_id, request, now),
                    poll_url=f"{base_url}/v1/jobs/{job_id}",
                )
            )
        names = (photo.file_name for photo in body.photos)
        self._keep(StoredBatch(batch_id=batch_id, jobs=tuple(zip(ids, names, strict=True))))
        return BatchCreated(
            batch_id=batch_id,
            jobs=tuple(created),
            poll_url=f"{base_url}/v1/batches/{batch_id}",
        )

    def view(self, text: str, *, tenant: str) -> BatchView:
        """Return where the jobs of a batch stand.

        Raises
        ------
        FacesError
            `unknown_batch` when the id was not given to `tenant`, or is no longer kept.
        """
        try:
            batch_id = check_job_id(text, id_secret(self.settings), _owner(tenant))
        except FacesError:
            raise FacesError(ErrorCode.UNKNOWN_BATCH) from None
        body = self.objects.read(self.settings.names.out_bucket, batch_key(batch_id))
        if body is None:
            raise FacesError(ErrorCode.UNKNOWN_BATCH)
        batch = StoredBatch.model_validate_json(body)
        states = self._states(batch)
        counts = Counter(states.values())
        return BatchView(
            batch_id=batch_id,
            total=len(states),
            counts={state: counts[state] for state in JobState},
            finished=all(state.final for state in states.values()),
            submitted_at=id_time(batch_id),
            jobs=tuple(
                BatchJob(job_id=job_id, file_name=name, state=states[job_id])
                for job_id, name in batch.jobs
            ),
        )

    def _states(self, batch: StoredBatch) -> dict[str, JobState]:
        """Return the state of each job; remember those that are new and final."""
        open_ids = [job_id for job_id, _ in batch.jobs if job_id not in batch.ended]
        states = dict(batch.ended)
        if open_ids:
            # Results first: a job whose result is there needs no photo.
            names, moment = self.settings.names, open_ids[0][:_TIME_LENGTH]
            answered = {
                found.key.removeprefix(RESULT_PREFIX).removesuffix(".json")
                for found in self.objects.listing(names.out_bucket, RESULT_PREFIX + moment)
            }
            states |= self._read(job_id for job_id in open_ids if job_id in answered)
            if len(states) > len(batch.ended):
                self._keep(batch.model_copy(update={"ended": dict(states)}))
            uploads = {
                found.key: ObjectInfo(0, found.last_modified, {})
                for found in self.objects.listing(names.in_bucket, UPLOAD_PREFIX + moment)
            }
            for job_id in open_ids:
                if job_id not in states:
                    states[job_id], _ = open_state(
                        id_time(job_id),
                        uploads.get(upload_key(job_id)),
                        self.settings,
                        self.clock(),
                    )
        return {job_id: states[job_id] for job_id, _ in batch.jobs}

    def _read(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(lambda job_id: (job_id, self.results.read(job_id)), job_ids)
            return {job_id: JobState(result.state) for job_id, result in found if result}

    def _keep(self, batch: StoredBatch) -> None:
        self.objects.put(
            self.settings.names.out_bucket,
            batch_key(batch.batch_id),
            batch.model_dump_json().encode(),
        )
        logger.info("batch kept", batch_id=batch.batch_id, jobs=len(batch.jobs))


def _owner(tenant: str) -> str:
    """Return what a batch id is signed for; so it is no job's id."""
    return f"batch/{tenant}"
