"""Takes uploads in: a good photo becomes one message for the workers, a bad one an answer.

Events arrive at least once, and a message may be handled again after a failure half way:

- A job that has a result is left alone.
- A photo that is announced twice before its result is there puts two messages on the
  req-queue. The second costs a worker's time but changes nothing: a result is written
  once, an enrolment is idempotent by its job id.
"""

import contextlib
import io
import os

from chalice_app.aws import ObjectInfo, Objects, Queues, Stream
from chalice_app.batch import Received
from chalice_app.jobs import id_secret
from chalice_app.observability import logger, metrics
from chalice_app.repeats import Repeats
from chalice_app.results import Results
from chalice_app.s3_events import CreatedObject, created_objects, upload_job_id
from chalice_app.sniff import HEAD_BYTES, check_photo
from faces.contracts.errors import ErrorCode, FacesError, PhotoError
from faces.contracts.ids import check_job_id
from faces.contracts.jobs import DEFAULT_TENANT, JobMessage, JobRequest
from faces.contracts.names import REQ_MESSAGE_MAX_BYTES
from faces.contracts.settings import ApiSettings
from faces.tracing import traced

_GONE = "The photo was deleted before it was looked at; send it again."


class Intake:
    """Handles the notifications of the in-bucket."""

    def __init__(
        self,
        settings: ApiSettings,
        objects: Objects,
        queues: Queues,
        results: Results,
        repeats: Repeats,
    ) -> None:
        self._settings = settings
        self._objects = objects
        self._queues = queues
        self._results = results
        self._repeats = repeats

    def handle(self, message: Received) -> None:
        """Take in every upload that a message tells of.

        Raises
        ------
        NotANotification
            When the body is no S3 notification: after its tries the message is kept as
            a dead letter.
        TransientError
            When S3 or SQS did not answer.
        """
        for created in created_objects(message.body):
            self._take_in(created, again=message.receive_count > 1)

    def _take_in(self, created: CreatedObject, *, again: bool) -> None:
        job_id = upload_job_id(created.key)
        if created.bucket != self._settings.names.in_bucket or job_id is None:
            logger.warning("not an upload of ours", bucket=created.bucket, key=created.key)
            return
        logger.append_keys(job_id=job_id)
        found = self._objects.open(created.bucket, created.key)
        if found is None:
            with traced(job_id, "intake"):
                self._gone(job_id)
            return
        info, stream = found
        with contextlib.closing(stream), traced(job_id, "intake"):
            self._check_in(job_id, created.key, info, stream, again=again)

    def _check_in(
        self, job_id: str, key: str, info: ObjectInfo, stream: Stream, *, again: bool
    ) -> None:
        if not self._ours(job_id, info.metadata.get("tenant", DEFAULT_TENANT)):
            logger.warning("the id was never given out", key=key)
            return
        request = readable_request(info)
        if self._results.exists(job_id):
            # An earlier try may have ended after the result and before its message.
            if again:
                self._results.announce_stored(job_id, request or JobRequest())
            logger.info("already answered")
            return
        try:
            if request is None:
                raise PhotoError(ErrorCode.UPLOAD_REJECTED)
            photo = self._check(request, info, stream)
        except FacesError as error:
            if error.retryable:
                raise
            self._results.fail(job_id, request or JobRequest(), error)
            logger.info("upload refused", code=error.code.value)
            metrics.add_metric("UploadsRefused", "Count", 1)
            return
        if photo is not None and self._repeats.answered(job_id, request, photo):
            return
        self._queues.send(self._settings.names.req_queue, job_message(job_id, key, info.size))
        logger.info("upload queued", kind=request.kind.value, bytes=info.size)
        metrics.add_metric("UploadsQueued", "Count", 1)

    def _gone(self, job_id: str) -> None:
        logger.warning("the upload is gone")
        if self._ours(job_id, DEFAULT_TENANT):
            self._results.fail(job_id, JobRequest(), PhotoError(ErrorCode.UPLOAD_REJECTED, _GONE))

    def _ours(self, job_id: str, tenant: str) -> bool:
        try:
            check_job_id(job_id, id_secret(self._settings), tenant)
        except FacesError:
            return False
        return True

    def _check(self, request: JobRequest, info: ObjectInfo, stream: Stream) -> bytes | None:
        """Check a photo; return the whole of it where an earlier answer may do for it."""
        if info.size == 0:
            raise PhotoError(ErrorCode.UPLOAD_EMPTY)
        if info.size > self._settings.max_upload_bytes:
            raise PhotoError(ErrorCode.UPLOAD_TOO_LARGE)
        photo = None
        if self._repeats.cover(request):
            photo = stream.read()
            stream = io.BytesIO(photo)
        check_photo(
            stream.read(HEAD_BYTES), stream.read, request.content_type, self._settings.max_pixels
        )
        return photo


def readable_request(info: ObjectInfo) -> JobRequest | None:
    """Return the request that rides on an upload, None when it carries no valid one."""
    try:
        return JobRequest.from_metadata(dict(info.metadata))
    except FacesError:
        return None


def job_message(job_id: str, key: str, size: int, *, rounds: int = 0) -> str:
    """Return the body of a req-queue message; at most `REQ_MESSAGE_MAX_BYTES` bytes."""
    trace_id = os.environ.get("_X_AMZN_TRACE_ID")
    return message_body(
        JobMessage(job_id=job_id, key=key, size=size, rounds=rounds, trace_id=trace_id)
    )


def message_body(message: JobMessage) -> str:
    """Return the body; without the trace's id where it would be too long for the queue."""
    body = message.model_dump_json(exclude_none=True)
    if len(body) > REQ_MESSAGE_MAX_BYTES:
        body = message.model_copy(update={"trace_id": None}).model_dump_json(exclude_none=True)
    return body
