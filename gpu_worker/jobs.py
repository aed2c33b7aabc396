"""One job from its message to its result."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from faces.contracts.errors import FacesError, TransientError
from faces.contracts.ids import id_time
from faces.contracts.jobs import DEFAULT_TENANT, JobKind, JobMessage, JobRequest
from faces.contracts.results import JobResult, PhotoInfo
from faces.contracts.version import CODE_VERSION
from gpu_worker.analysis import find_faces
from gpu_worker.answers import Answerer, Draft
from gpu_worker.backends.base import Detector
from gpu_worker.photos import decode
from gpu_worker.publish import Announcer, ResultStore, done_message
from gpu_worker.timings import Timings
from gpu_worker.uploads import Upload, UploadStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobRunner:
    """Runs jobs; running one again changes nothing.

    What makes that so: ids that follow from the job's, an enrolment that the gallery
    does once a job, and a result that is written once.

    Attributes
    ----------
    max_pixels : photos of more are refused before they are decoded.
    worker_id : stands in the result.
    clock : returns the time, aware.
    """

    uploads: UploadStore
    results: ResultStore
    announcer: Announcer
    detector: Detector
    answerer: Answerer
    max_pixels: int
    worker_id: str
    clock: Callable[[], datetime]

    def run(self, message: JobMessage, *, redelivered: bool) -> JobResult:
        """Bring a job to its end: result stored, front end told.

        Parameters
        ----------
        redelivered : an earlier delivery may have come to a result already.

        Raises
        ------
        TransientError
            When something is away; the job is to be run again.
        """
        timings = Timings()
        # Also what is wrong with the upload or its request ends in a result.
        problem: FacesError | None = None
        upload = Upload(metadata={}, read=bytes)
        request = JobRequest()
        try:
            with timings.stage("fetch"):
                upload = self.uploads.open(message.key)
            request = JobRequest.from_metadata(upload.metadata)
        except TransientError:
            raise
        except FacesError as error:
            problem = error
            request = _best_guess(upload.metadata)

        result = self.results.stored(message.job_id) if redelivered else None
        if result is None:
            result = self.results.store(
                self._answer(Draft(message.job_id, request, timings), upload, problem)
            )
        self.announcer.announce(done_message(result, request))
        log.info(
            "job ended",
            extra={
                "kind": result.kind,
                "state": result.state,
                "error_code": result.error.code if result.error else None,
                "faces": len(result.faces),
                "timings_ms": result.timings_ms,
            },
        )
        return result

    def _answer(self, draft: Draft, upload: Upload, problem: FacesError | None) -> JobResult:
        info: PhotoInfo | None = None
        try:
            if problem is not None:
                raise problem
            request, timings = draft.request, draft.timings
            with timings.stage("fetch"):
                data = upload.read()
            with timings.stage("decode"):
                photo = decode(data, request.content_type, self.max_pixels)
            info = photo.info
            with timings.stage("detect"):
                [detections] = self.detector.detect([photo.pixels])
                faces = find_faces(photo.pixels, detections, request.params.quality_filter)
            self.answerer.answer(draft, photo.pixels, faces)
        except TransientError:
            raise
        except FacesError as error:
            return self._result(draft, info, error)
        return self._result(draft, info, None)

    def _result(self, draft: Draft, photo: PhotoInfo | None, error: FacesError | None) -> JobResult:
        request = draft.request
        return JobResult(
            job_id=draft.job_id,
            kind=request.kind,
            tenant=request.tenant,
            collection=request.collection,
            file_name=request.file_name,
            state="succeeded" if error is None else "failed",
            error=None if error is None else error.info(),
            photo=photo,
            faces=draft.faces,
            enrolment=draft.enrolment,
            verification=draft.verification,
            model=self.answerer.embedder.model,
            timings_ms=draft.timings.milliseconds(),
            worker_id=self.worker_id,
            code_version=CODE_VERSION,
            submitted_at=id_time(draft.job_id),
            finished_at=self.clock(),
        )


def _best_guess(metadata: dict[str, str]) -> JobRequest:
    """Return what can be told of a request that is not whole, so that its client is."""
    kind = metadata.get("kind", "")
    return JobRequest(
        kind=JobKind(kind) if kind in {JobKind.IDENTIFY, JobKind.DETECT} else JobKind.IDENTIFY,
        tenant=metadata.get("tenant", DEFAULT_TENANT),
    )
