"""Deletes what has been kept for as long as its collection keeps it.

S3's lifecycle rules work by days and for all collections alike; they are the outer bound.
The keys of photos and results are time-ordered, so a listing shows how old each is. Only
whose age has come to some collection's limit since the last sweep is looked into.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import ValidationError

from chalice_app.aws import Objects
from chalice_app.intake import readable_request
from chalice_app.observability import logger
from chalice_app.results import Results
from faces.contracts.collections import Retention
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import id_time, parse_id
from faces.contracts.jobs import JobRequest
from faces.contracts.names import (
    ATTEMPT_PREFIX,
    RESULT_PREFIX,
    UPLOAD_PREFIX,
    StackNames,
    upload_key,
)
from faces.contracts.results import JobResult
from faces.gallery.records import Purged
from faces.tracing import traced

_BATCH = 500
_KEPT_TOO_LONG = "The photo was not answered for as long as the collection keeps photos."


class Store(Protocol):
    """What the sweep needs of the gallery (`faces.gallery.gallery.Gallery`)."""

    def purge_expired(self, now: datetime) -> Purged: ...

    def photos_to_delete(self, limit: int) -> list[str]: ...

    def photos_deleted(self, jobs: Sequence[str]) -> None: ...

    def retentions(self) -> dict[tuple[str, str], Retention]: ...

    def swept_to(self) -> datetime: ...

    def note_sweep(self, before: datetime, now: datetime) -> None: ...


@dataclass(frozen=True)
class Swept:
    """How much a sweep deleted."""

    unmatched_faces: int
    photos: int
    results: int


@dataclass(frozen=True)
class Sweep:
    """One look at everything that is kept for a time.

    Attributes
    ----------
    clock : returns the present time (aware).
    """

    objects: Objects
    results: Results
    store: Store
    names: StackNames
    clock: Callable[[], datetime]

    def run(self) -> Swept:
        """Delete what is over; what fails half way is done by the next sweep.

        Raises
        ------
        TransientError
            When S3 or the database are away.
        """
        now, before = self.clock(), self.store.swept_to()
        asked_for = self._photos_of_the_deleted()
        purged = self.store.purge_expired(now)
        kept = self.store.retentions()
        photos = self._sweep_photos(kept, before, now)
        results = self._sweep_results(kept, before, now)
        self._sweep_attempts()
        self.store.note_sweep(before, now)
        swept = Swept(purged.unmatched_faces, asked_for + photos, results)
        logger.info("swept", **vars(swept))
        return swept

    def _photos_of_the_deleted(self) -> int:
        """Delete photos whose people are gone and that S3 did not let go of then."""
        deleted = 0
        while jobs := self.store.photos_to_delete(_BATCH):
            keys = [upload_key(job_id) for job_id in jobs]
            self.objects.delete_many(self.names.in_bucket, keys)
            self.store.photos_deleted(jobs)
            deleted += len(jobs)
        return deleted

    def _sweep_photos(
        self, kept: dict[tuple[str, str], Retention], before: datetime, now: datetime
    ) -> int:
        limits = [each.photos_seconds for each in kept.values()]
        deleted = 0
        for job_id, key, age in self._due(
            self.names.in_bucket, UPLOAD_PREFIX, limits, Retention().photos_seconds, before, now
        ):
            found = self.objects.head(self.names.in_bucket, key)
            if found is None:
                continue
            request = readable_request(found) or JobRequest()
            its = kept.get((request.tenant, request.collection), Retention())
            if age >= timedelta(seconds=its.photos_seconds):
                # Where results go first, one may have been there: the job ends but once.
                told = age >= timedelta(seconds=its.results_seconds)
                if not told and not self.results.exists(job_id):
                    gave_up = FacesError(ErrorCode.WORKER_GAVE_UP, _KEPT_TOO_LONG)
                    with traced(job_id, "sweep"):
                        self.results.fail(job_id, request, gave_up)
                self.objects.delete(self.names.in_bucket, key)
                deleted += 1
        return deleted

    def _sweep_results(
        self, kept: dict[tuple[str, str], Retention], before: datetime, now: datetime
    ) -> int:
        limits = {where: each.results_seconds for where, each in kept.items()}
        deleted = 0
        for job_id, key, age in self._due(
            self.names.out_bucket, RESULT_PREFIX, limits.values(), Retention().results_seconds,
            before, now,
        ):  # fmt: skip
            body = self.objects.read(self.names.out_bucket, key)
            where = None if body is None else _collection_of(body)
            limit = limits.get(where or ("", ""), Retention().results_seconds)
            if age >= timedelta(seconds=limit):
                self.results.expire(job_id)
                deleted += 1
        return deleted

    def _sweep_attempts(self) -> None:
        """Delete the records of attempts at photos that are gone; there are few, if any."""
        attempts: dict[str, list[str]] = {}
        for listed in self.objects.listing(self.names.out_bucket, ATTEMPT_PREFIX):
            job_id, _, _ = listed.key.removeprefix(ATTEMPT_PREFIX).partition("/")
            attempts.setdefault(job_id, []).append(listed.key)
        for job_id, keys in attempts.items():
            if self.objects.head(self.names.in_bucket, upload_key(job_id)) is None:
                self.objects.delete_many(self.names.out_bucket, keys)

    def _due(
        self,
        bucket: str,
        prefix: str,
        limits: Collection[int],
        default: int,
        before: datetime,
        now: datetime,
    ) -> Iterator[tuple[str, str, timedelta]]:
        """Yield job, key and age of what came to one of the limits since the last sweep."""
        spans = [timedelta(seconds=limit) for limit in {*limits, default}]
        for listed in self.objects.listing(bucket, prefix):
            try:
                name = listed.key.removeprefix(prefix).removesuffix(".json")
                job_id = parse_id(name, unknown=ErrorCode.UNKNOWN_JOB)
            except FacesError:
                continue  # not ours; the lifecycle rule sees to it
            made = id_time(job_id)
            if now - made < min(spans):
                return  # all that follow are younger
            last = before - made
            if any(last < span <= now - made for span in spans):
                yield job_id, listed.key, now - made


def _collection_of(body: bytes) -> tuple[str, str] | None:
    try:
        result = JobResult.model_validate_json(body)
    except ValidationError:
        return None
    return result.tenant, result.collection
