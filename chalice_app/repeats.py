"""The same photo, asked the same of an unchanged gallery, is answered without a worker.

Three things make that safe. The version of the collection is read after the answer was
found, so an answer from before a deletion never counts after it. An answer counts only for
workers of today's model, code and settings. And unknown faces get ids of their own, which
can be used as long as those of any other job; where their vectors are gone, a worker looks
at the photo again.
"""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Protocol

from pydantic import ValidationError

from chalice_app.observability import logger, metrics
from chalice_app.results import Results
from faces.cache.cache import Cache, Question
from faces.contracts.errors import TransientError
from faces.contracts.ids import derived_id, id_time
from faces.contracts.jobs import JobKind, JobRequest
from faces.contracts.results import JobResult

# Intake has 30 s for a batch; a database that is away may take 5 s to say so.
_REST_SECONDS = 60.0


class RepeatGallery(Protocol):
    """What is needed of the gallery (`faces.gallery.gallery.Gallery`)."""

    def collection_version(self, tenant: str, collection: str) -> str: ...

    def renew_unmatched(
        self, renewed: Mapping[str, str], *, job_id: str, expires_at: datetime
    ) -> bool: ...

    def holding(
        self, faces: Collection[str], /
    ) -> AbstractContextManager[dict[str, tuple[str, str]]]: ...

    def holding_person(self, person_id: str, /) -> AbstractContextManager[bool]: ...


class Repeats:
    """Answers photos that were answered before.

    Parameters
    ----------
    wanted : whether answers are repeated at all.
    gallery : returns the gallery; called only when it is needed.
    clock : returns the present time (aware).
    monotonic : seconds.
    """

    def __init__(
        self,
        *,
        wanted: bool,
        cache: Cache,
        gallery: Callable[[], RepeatGallery],
        results: Results,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted = wanted
        self._cache = cache
        self._gallery = gallery
        self._results = results
        self._clock = clock
        self._monotonic = monotonic
        self._resting_until = float("-inf")

    def cover(self, request: JobRequest) -> bool:
        """Return whether the answer to such a request may be repeated."""
        return (
            self._wanted
            and request.params.cache
            # What an enrolment stores, and the face that a req_id names, are used once.
            and request.kind is not JobKind.ENROLL
            and request.params.req_id is None
            and self._monotonic() >= self._resting_until
        )

    def answered(self, job_id: str, request: JobRequest, photo: bytes) -> bool:
        """End a job with the answer of an earlier one, where there is one that counts.

        Where there is none, note what the job asks, so that its answer is kept.

        Parameters
        ----------
        photo : the whole file.
        """
        key = question_key(request, photo)
        kept = self._cache.answer(key)
        try:
            version = self._version(request)
            if kept is not None and kept.version == version:
                result = self._repeated(job_id, request, kept.body)
                if result is not None and self._published(result, request):
                    metrics.add_metric("AnswersRepeated", "Count", 1)
                    logger.info("answered as before")
                    return True
        except TransientError:
            # A worker can do without; whether the database is back is seen later.
            self._resting_until = self._monotonic() + _REST_SECONDS
            logger.warning("answers are not repeated for a while", exc_info=True)
            return False
        self._cache.ask(job_id, Question(key, version))
        return False

    def _published(self, result: JobResult, request: JobRequest) -> bool:
        """End the job unless somebody whom the answer names was just changed or deleted.

        Whom it names is held meanwhile, as a worker does it: a deletion that begins now is
        answered after this result is out.
        """
        with self._held(result) as unchanged:
            if unchanged:
                self._results.end(result, request)
            return unchanged

    @contextmanager
    def _held(self, result: JobResult) -> Iterator[bool]:
        """Hold whom a result speaks of; hand out whether all is still as it says."""
        named = {one.face_id: (one.person_id, one.name) for one in result.named}
        if result.claimed is not None:
            with self._gallery().holding_person(result.claimed) as there:
                yield there
        elif named:
            with self._gallery().holding(named) as owners:
                yield owners == named
        else:
            yield True

    def _version(self, request: JobRequest) -> str:
        if request.kind is JobKind.DETECT:
            return "any"  # nobody is looked for
        return self._gallery().collection_version(request.tenant, request.collection)

    def _repeated(self, job_id: str, request: JobRequest, body: bytes) -> JobResult | None:
        """Return an earlier answer as this job's; None where it cannot be."""
        try:
            before = JobResult.model_validate_json(body)
        except ValidationError:
            return None
        now = self._clock()
        renewed: dict[str, str] = {}
        faces = list(before.faces)
        for number, face in enumerate(faces):
            if face.req_id is not None and face.req_id_expires_at is not None:
                renewed[face.req_id] = derived_id(job_id, f"face-{number}")
                lifetime = face.req_id_expires_at - before.finished_at
                faces[number] = face.model_copy(
                    update={"req_id": renewed[face.req_id], "req_id_expires_at": now + lifetime}
                )
                expires_at = now + lifetime
        if renewed and not self._gallery().renew_unmatched(
            renewed, job_id=job_id, expires_at=expires_at
        ):
            return None
        return before.model_copy(
            update={
                "job_id": job_id,
                "file_name": request.file_name,
                "faces": tuple(faces),
                "timings_ms": {},
                "worker_id": None,
                "cached": True,
                "submitted_at": id_time(job_id),
                "finished_at": now,
            }
        )


def question_key(request: JobRequest, photo: bytes) -> str:
    """Return a digest of all that a client asks: photo, tenant, collection, kind, parameters."""
    asked = {
        "tenant": request.tenant,
        "collection": request.collection,
        "kind": request.kind.value,
        "params": request.params.model_dump(mode="json", exclude={"cache"}),
        "photo": hashlib.sha256(photo).hexdigest(),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
