"""The jobs of the last time, found without a table of jobs.

Keys of photos and results begin with the job's time, and a job's id proves whose it is. So
a listing that starts at a moment finds what came after it, and only what is shown is read.
The moments go back in growing steps: a busy stack answers from the first, an idle one from
the last.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from chalice_app.aws import ListedObject, ObjectInfo, Objects
from chalice_app.jobs import id_secret, open_state
from chalice_app.observability import logger
from chalice_app.results import Results
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import check_job_id, first_id, id_time
from faces.contracts.jobs import JobKind, JobState
from faces.contracts.names import RESULT_PREFIX, UPLOAD_PREFIX
from faces.contracts.operations import RecentJob, RecentJobs
from faces.contracts.settings import ApiSettings

# The last is longer than any result is kept.
_STEPS = tuple(timedelta(seconds=seconds) for seconds in (30, 300, 3600, 86_400, 2_764_800))
# Of one listing: five calls, a tenth of a second. More jobs in a step are not looked for.
_MOST_KEYS = 5000
_READERS = 16


@dataclass(frozen=True)
class Recent:
    """Finds the recent jobs of one stack."""

    settings: ApiSettings
    objects: Objects
    results: Results

    def page(self, tenant: str, limit: int, now: datetime) -> RecentJobs:
        """Return the newest jobs of a tenant whose photos were sent.

        Jobs that were deleted are left out.
        """
        found: dict[str, datetime | None] = {}
        whole = True
        with ThreadPoolExecutor(_READERS) as pool:
            for step in _STEPS:
                listed, whole = self._since(now - step, tenant, pool)
                # A listing that was cut off shows the oldest of its step, not the newest.
                found = listed | found if whole or not found else found
                if len(found) >= limit or not whole:
                    break
            newest = sorted(found, reverse=True)[:limit]
            jobs = pool.map(lambda job_id: self._job(job_id, found[job_id], now), newest)
            shown = tuple(job for job in jobs if job is not None)
        return RecentJobs(jobs=shown, complete=whole and len(found) <= limit)

    def _since(
        self, moment: datetime, tenant: str, pool: ThreadPoolExecutor
    ) -> tuple[dict[str, datetime | None], bool]:
        """Return when each job's photo came, None where it is gone; and whether all are there."""
        names, start = self.settings.names, first_id(moment)

        def listed(bucket: str, prefix: str) -> list[ListedObject]:
            return list(
                islice(self.objects.listing(bucket, prefix, after=prefix + start), _MOST_KEYS)
            )

        answered = pool.submit(listed, names.out_bucket, RESULT_PREFIX)
        uploaded = listed(names.in_bucket, UPLOAD_PREFIX)
        found: dict[str, datetime | None] = {
            each.key.removeprefix(RESULT_PREFIX).removesuffix(".json"): None
            for each in answered.result()
        }
        found |= {each.key.removeprefix(UPLOAD_PREFIX): each.last_modified for each in uploaded}
        whole = max(len(answered.result()), len(uploaded)) < _MOST_KEYS
        return {job_id: found[job_id] for job_id in self._of(tenant, found)}, whole

    def _of(self, tenant: str, job_ids: dict[str, datetime | None]) -> Iterator[str]:
        secret = id_secret(self.settings)
        for job_id in job_ids:
            try:
                yield check_job_id(job_id, secret, tenant)
            except FacesError:
                continue

    def _job(self, job_id: str, uploaded: datetime | None, now: datetime) -> RecentJob | None:
        try:
            result = self.results.read(job_id)
        except ValueError:
            logger.warning("a result is of another version", job_id=job_id)
            return None
        if result is None:
            if uploaded is None:
                return None  # swept between the listing and now
            submitted_at = id_time(job_id)
            info = ObjectInfo(0, uploaded, {})
            state, code = open_state(submitted_at, info, self.settings, now)
            error = None if code is None else FacesError(code).info()
            return RecentJob(job_id=job_id, state=state, submitted_at=submitted_at, error=error)
        if result.error is not None and result.error.code is ErrorCode.JOB_DELETED:
            return None
        return RecentJob(
            job_id=job_id,
            state=JobState(result.state),
            submitted_at=result.submitted_at,
            finished_at=result.finished_at,
            kind=JobKind(result.kind),
            collection=result.collection,
            file_name=result.file_name,
            faces=len(result.faces),
            known=sum(face.match is not None for face in result.faces),
            cached=result.cached,
            worker_id=result.worker_id,
            # In the catalogue's words: a result's own may name somebody of the gallery.
            error=None if result.error is None else FacesError(result.error.code).info(),
        )
