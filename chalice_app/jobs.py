"""Jobs as clients see them: opened by a form, then watched until they end."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chalice_app.attempts import Attempts
from chalice_app.aws import ObjectInfo, Objects
from chalice_app.callback_address import ForbiddenAddress, check_url, networks
from chalice_app.results import Results
from chalice_app.uploads import upload_form
from faces.contracts.errors import ErrorCode, FacesError, InvalidInput
from faces.contracts.ids import check_job_id, id_time, new_job_id
from faces.contracts.jobs import JobCreated, JobDeleted, JobRequest, JobState, JobView
from faces.contracts.names import upload_key
from faces.contracts.settings import ApiSettings, SettingsError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from faces.gallery.gallery import Gallery


def open_job(
    request: JobRequest,
    *,
    settings: ApiSettings,
    s3: "S3Client",
    base_url: str,
    now: datetime,
) -> JobCreated:
    """Return a new job and the form for its photo; nothing is stored for it.

    Raises
    ------
    InvalidInput
        Naming the wrong field of the request.
    """
    check_callback(request.callback_url, settings)
    job_id = new_job_id(id_secret(settings), request.tenant, now)
    return JobCreated(
        job_id=job_id,
        upload=upload_form(s3, settings, job_id, request, now),
        poll_url=f"{base_url}/v1/jobs/{job_id}",
    )


def view_job(
    text: str,
    *,
    tenant: str,
    settings: ApiSettings,
    objects: Objects,
    results: Results,
    now: datetime,
) -> JobView:
    """Return where a job stands.

    Raises
    ------
    FacesError
        `unknown_job` when the id was not given to `tenant`; `job_deleted`.
    """
    job_id = check_job_id(text, id_secret(settings), tenant)
    submitted_at = id_time(job_id)
    # The result first: it stays when the photo is already gone.
    result = results.read(job_id)
    if result is not None:
        if result.error is not None and result.error.code is ErrorCode.JOB_DELETED:
            raise FacesError(ErrorCode.JOB_DELETED)
        return JobView(
            job_id=job_id,
            state=JobState(result.state),
            submitted_at=submitted_at,
            error=result.error,
            result=result,
        )
    upload = objects.head(settings.names.in_bucket, upload_key(job_id))
    state, code = open_state(submitted_at, upload, settings, now)
    return JobView(
        job_id=job_id,
        state=state,
        submitted_at=submitted_at,
        error=None if code is None else FacesError(code).info(),
    )


def delete_job(
    text: str,
    *,
    tenant: str,
    settings: ApiSettings,
    objects: Objects,
    results: Results,
    gallery: "Gallery",
    actor: str,
) -> JobDeleted:
    """Delete photo, result and unknown faces of a job, whether it has ended or not.

    Doing it again is harmless. A face that the job enrolled stays: it is the person's.

    Parameters
    ----------
    actor : id of the key that asks for it, for the audit log.

    Raises
    ------
    FacesError
        `unknown_job` when the id was not given to `tenant`.
    """
    job_id = check_job_id(text, id_secret(settings), tenant)
    # The result first: from here on nobody reads what is deleted after it.
    results.delete(job_id, JobRequest(tenant=tenant))
    objects.delete(settings.names.in_bucket, upload_key(job_id))
    Attempts(objects, settings.names).clear(job_id)
    forgotten = gallery.forget_job(tenant, job_id, actor=actor)
    return JobDeleted(job_id=job_id, unmatched_faces=forgotten)


def open_state(
    submitted_at: datetime, upload: ObjectInfo | None, settings: ApiSettings, now: datetime
) -> tuple[JobState, ErrorCode | None]:
    """Return the state of a job without a result, and the error where it has ended.

    A message lives as long as the queues keep it; when that time has passed since the
    upload without a result, none will come.
    """
    if upload is not None:
        waited = now - upload.last_modified
        if waited > timedelta(seconds=settings.job_timeout_seconds):
            return JobState.FAILED, ErrorCode.WORKER_GAVE_UP
        return JobState.QUEUED, None
    if now - submitted_at > timedelta(seconds=settings.upload_seconds):
        return JobState.EXPIRED, ErrorCode.JOB_EXPIRED
    return JobState.AWAITING_UPLOAD, None


def id_secret(settings: ApiSettings) -> bytes:
    """Return the secret that signs job ids.

    Raises
    ------
    SettingsError
        When none is set: ids signed with nothing could be made up by anybody.
    """
    if not settings.id_secret:
        raise SettingsError("FACES_ID_SECRET: is needed to make and check job ids")
    return settings.id_secret.encode()


def check_callback(url: str | None, settings: ApiSettings) -> None:
    """Raise InvalidInput for an address that is seen to be none a callback may reach."""
    if url is None:
        return
    try:
        check_url(url, networks(settings.callback_allow))
    except ForbiddenAddress as error:
        raise InvalidInput("callback_url", f"callback_url: {error}") from None
