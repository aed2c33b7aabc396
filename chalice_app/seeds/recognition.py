"""A photo that comes and is answered in one request."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from chalice_app.dependencies import Context
from chalice_app.forms import FormFile
from chalice_app.jobs import id_secret
from chalice_app.observability import logger
from chalice_app.sniff import HEAD_BYTES, check_photo
from chalice_app.uploads import fits
from chalice_app.waiting import wait_woken
from faces.contracts.errors import ErrorCode, FacesError, PhotoError
from faces.contracts.ids import id_time, new_job_id
from faces.contracts.image_head import read_head
from faces.contracts.jobs import JobKind, JobParams, JobRequest, JobState, JobView
from faces.contracts.names import upload_key
from faces.contracts.results import DetectedFace, JobResult

# API Gateway ends a request at 29 s; a cold start and the photo's way in come before.
LONGEST_WAIT_SECONDS = 24.0
_NAME_LENGTH = 200


@dataclass(frozen=True)
class Scope:
    """Whom requests without a key act for."""

    tenant: str
    collection: str


def scope_of(context: Context) -> Scope:
    """Return whom requests without a key act for.

    Raises
    ------
    FacesError
        `unknown_route` where the setting names nobody.
    """
    tenant, _, collection = context.settings.seed_scope.partition("/")
    if not tenant:
        raise FacesError(ErrorCode.UNKNOWN_ROUTE)
    return Scope(tenant, collection)


@dataclass(frozen=True)
class Submission:
    """A checked photo with the id of its job; nothing is stored yet."""

    job_id: str
    photo: FormFile
    request: JobRequest

    def upload(self, context: Context) -> None:
        """Put the photo where uploads go."""
        context.objects.upload(
            context.settings.names.in_bucket,
            upload_key(self.job_id),
            self.photo.data,
            self.request.content_type.value,
            self.request.to_metadata(),
        )


def prepare(context: Context, scope: Scope, photo: FormFile) -> Submission:
    """Check a photo and make a job of it.

    Raises
    ------
    PhotoError
        `upload_empty`, `upload_too_large`, or what `sniff.check_photo` raises.
    """
    settings = context.settings
    if not photo.data:
        raise PhotoError(ErrorCode.UPLOAD_EMPTY)
    if len(photo.data) > settings.max_upload_bytes:
        raise PhotoError(
            ErrorCode.UPLOAD_TOO_LARGE,
            f"The file has {len(photo.data)} bytes; {settings.max_upload_bytes} are allowed.",
        )
    head = photo.data[:HEAD_BYTES]
    # Clients announce no type, or a wrong one; what counts is what the file is.
    kind = read_head(head).content_type
    check_photo(head, lambda: photo.data[HEAD_BYTES:], kind, settings.max_pixels)
    request = JobRequest(
        kind=JobKind.IDENTIFY,
        tenant=scope.tenant,
        collection=scope.collection,
        content_type=kind,
        file_name=_storable(photo.name),
        params=JobParams(max_faces=1, candidates=0),
    )
    if not fits(request):
        request = request.model_copy(update={"file_name": None})
    job_id = new_job_id(id_secret(settings), scope.tenant, context.clock())
    logger.append_keys(job_id=job_id)
    return Submission(job_id, photo, request)


def answer_of(
    context: Context,
    submission: Submission,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> JobResult:
    """Upload a photo and wait for its result.

    Parameters
    ----------
    clock : monotonic seconds.

    Raises
    ------
    FacesError
        `job_unfinished`, which names the job, when the time is up; the error that the job
        ended in.
    """
    job_id, end = submission.job_id, clock() + seconds

    def look() -> JobView:
        # Only the result: whether the photo came is no question here.
        result = context.results.read(job_id)
        return JobView(
            job_id=job_id,
            state=JobState.QUEUED if result is None else JobState(result.state),
            submitted_at=id_time(job_id),
            result=result,
        )

    # Listening comes first, so no end is missed and nobody need look before.
    with context.cache.wakeup(job_id) as wakeup:
        submission.upload(context)
        result = wait_woken(look, wakeup, end, clock).result
    if result is None:
        raise FacesError(
            ErrorCode.JOB_UNFINISHED, f"Job {job_id} is still being worked on; ask for it later."
        )
    if result.error is not None:
        raise FacesError(result.error.code, result.error.message)
    return result


def largest_face(result: JobResult) -> DetectedFace | None:
    """Return the face that the answer is about, or None where the photo has none."""
    return result.faces[0] if result.faces else None


def _storable(name: str) -> str | None:
    """Return a file name as a job can carry it."""
    kept = "".join(letter for letter in name if letter.isprintable())[:_NAME_LENGTH]
    return kept or None
