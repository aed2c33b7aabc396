"""Every error that a person can meet: a stable code, a status and a sentence.

The tree::

    FacesError                 anything with a code of the catalogue below
    ├── InvalidInput           a field of a request is wrong; names the field
    ├── TooManyRequests        a key's limit is reached; says when to try again
    ├── PhotoError             this photo cannot be answered; trying again changes nothing
    └── TransientError         a dependency failed; the same call may succeed later
    SettingsError              a process cannot start (see `faces.contracts.settings`)

The catalogue is part of the public contract: codes are never renamed or reused.
Problem documents follow RFC 9457.
"""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from faces.contracts.base import StoredDocument


class ErrorCode(StrEnum):
    """Stable codes; what each means stands in `CATALOGUE`."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    UNKNOWN_ROUTE = "unknown_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNKNOWN_JOB = "unknown_job"
    UNKNOWN_BATCH = "unknown_batch"
    UNKNOWN_COLLECTION = "unknown_collection"
    UNKNOWN_PERSON = "unknown_person"
    UNKNOWN_FACE = "unknown_face"
    UNKNOWN_REQ_ID = "unknown_req_id"
    UNKNOWN_KEY = "unknown_key"
    COLLECTION_EXISTS = "collection_exists"
    DUPLICATE_PERSON = "duplicate_person"
    TOO_MANY_REQUESTS = "too_many_requests"
    UPLOAD_TOO_LARGE = "upload_too_large"
    UPLOAD_EMPTY = "upload_empty"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_IMAGE = "unsupported_image"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    CORRUPT_IMAGE = "corrupt_image"
    IMAGE_TOO_LARGE = "image_too_large"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    POOR_FACE = "poor_face"
    LOOKS_LIKE_ANOTHER = "looks_like_another"
    DUPLICATE_FACE = "duplicate_face"
    UPLOAD_REJECTED = "upload_rejected"
    WORKER_GAVE_UP = "worker_gave_up"
    JOB_EXPIRED = "job_expired"
    JOB_DELETED = "job_deleted"
    JOB_UNFINISHED = "job_unfinished"
    JOB_ANSWERED = "job_answered"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True)
class ErrorSpec:
    """What a code means.

    Attributes
    ----------
    status : the HTTP status (RFC 9110) when the code answers a request.
    title : a short name for people.
    sentence : what happened and what to do, for people.
    retryable : whether the very same request may succeed later.
    """

    status: int
    title: str
    sentence: str
    retryable: bool = False


CATALOGUE: dict[ErrorCode, ErrorSpec] = {
    ErrorCode.INVALID_REQUEST: ErrorSpec(
        400, "Invalid request", "A field of the request is wrong; correct it and send again."
    ),
    ErrorCode.UNAUTHENTICATED: ErrorSpec(
        401, "Key missing or wrong", "Send your API key in the header X-Api-Key."
    ),
    ErrorCode.FORBIDDEN: ErrorSpec(
        403, "Not allowed", "This API key may not do that; use a key with the needed scope."
    ),
    ErrorCode.UNKNOWN_ROUTE: ErrorSpec(
        404, "No such address", "Nothing answers at this address; check the path."
    ),
    ErrorCode.METHOD_NOT_ALLOWED: ErrorSpec(
        405, "Method not allowed", "This address does not answer that method."
    ),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: ErrorSpec(
        415, "Body of the wrong type", "Send the body as JSON, with Content-Type application/json."
    ),
    ErrorCode.UNKNOWN_JOB: ErrorSpec(
        404, "No such job", "No job has this id, or its result is no longer kept."
    ),
    ErrorCode.UNKNOWN_BATCH: ErrorSpec(
        404, "No such batch", "No batch has this id, or it is no longer kept."
    ),
    ErrorCode.UNKNOWN_COLLECTION: ErrorSpec(
        404, "No such collection", "Create the collection first, or check its name."
    ),
    ErrorCode.UNKNOWN_PERSON: ErrorSpec(404, "No such person", "No person has this id here."),
    ErrorCode.UNKNOWN_FACE: ErrorSpec(404, "No such face", "No face has this id here."),
    ErrorCode.UNKNOWN_REQ_ID: ErrorSpec(
        404,
        "No such unknown face",
        "This req_id was never given out, was used or has expired; send the photo again.",
    ),
    ErrorCode.UNKNOWN_KEY: ErrorSpec(404, "No such key", "No API key has this id here."),
    ErrorCode.COLLECTION_EXISTS: ErrorSpec(
        409, "Collection already there", "A collection of this name exists; choose another name."
    ),
    ErrorCode.DUPLICATE_PERSON: ErrorSpec(
        409,
        "Person already there",
        "A person with this e-mail or external id exists; add the face to that person.",
    ),
    ErrorCode.TOO_MANY_REQUESTS: ErrorSpec(
        429, "Too many requests", "Wait as long as Retry-After says, then send again.", True
    ),
    ErrorCode.UPLOAD_TOO_LARGE: ErrorSpec(
        413, "Photo file too large", "Send a smaller file; the limit is in the upload form."
    ),
    ErrorCode.UPLOAD_EMPTY: ErrorSpec(422, "Empty file", "The file has no bytes; send the photo."),
    ErrorCode.NOT_AN_IMAGE: ErrorSpec(
        422, "Not an image", "The file is no image that can be read; send a JPEG or PNG photo."
    ),
    ErrorCode.UNSUPPORTED_IMAGE: ErrorSpec(
        415, "Image format not supported", "Convert the photo to JPEG, PNG or WebP and send that."
    ),
    ErrorCode.WRONG_CONTENT_TYPE: ErrorSpec(
        422,
        "Content is not what it claims",
        "The file's content is another image type than announced; announce the right one.",
    ),
    ErrorCode.CORRUPT_IMAGE: ErrorSpec(
        422, "Damaged image", "The image ends early or is damaged; export it again and resend."
    ),
    ErrorCode.IMAGE_TOO_LARGE: ErrorSpec(
        422, "Too many pixels", "The photo has more pixels than allowed; scale it down."
    ),
    ErrorCode.NO_FACE: ErrorSpec(
        422, "No face found", "No face was found; send a photo with a visible face."
    ),
    ErrorCode.SEVERAL_FACES: ErrorSpec(
        422, "More than one face", "Crop the photo to one face, or choose a photo of one person."
    ),
    ErrorCode.POOR_FACE: ErrorSpec(
        422, "Face too poor to enrol", "Use a sharp, well-lit, frontal and larger face."
    ),
    ErrorCode.LOOKS_LIKE_ANOTHER: ErrorSpec(
        409,
        "Face of another person",
        "Somebody else here looks like this and would be mistaken for the person; add the face "
        "to that person, or send force.",
    ),
    ErrorCode.DUPLICATE_FACE: ErrorSpec(
        409,
        "Face already enrolled",
        "This very face is enrolled; use another photo, or send force.",
    ),
    ErrorCode.UPLOAD_REJECTED: ErrorSpec(
        422, "Upload not usable", "The upload does not carry a valid request; ask for a new form."
    ),
    ErrorCode.WORKER_GAVE_UP: ErrorSpec(
        500,
        "Photo could not be processed",
        "Several tries ended without an answer; the photo was set aside for inspection.",
    ),
    ErrorCode.JOB_EXPIRED: ErrorSpec(
        410, "Upload form expired", "No photo came before the form expired; ask for a new one."
    ),
    ErrorCode.JOB_DELETED: ErrorSpec(
        410, "Job deleted", "The job was deleted, with its photo and its result."
    ),
    ErrorCode.JOB_UNFINISHED: ErrorSpec(
        504, "Not answered in time", "The photo is still being worked on; ask for the job later."
    ),
    ErrorCode.JOB_ANSWERED: ErrorSpec(
        409, "Job already answered", "The job was not given up; only such a job is tried again."
    ),
    ErrorCode.UNAVAILABLE: ErrorSpec(
        503, "Temporarily unavailable", "A part of the service is down; try again shortly.", True
    ),
    ErrorCode.INTERNAL: ErrorSpec(
        500, "Internal error", "Something went wrong on our side; report the request id.", True
    ),
}


class ErrorInfo(StoredDocument):
    """The error inside a failed result."""

    code: ErrorCode
    title: str
    message: str = Field(description="What happened and what to do, for a person")


class Problem(StoredDocument):
    """A problem document (RFC 9457) as every failed request is answered with.

    `type` is `urn:faces:error:<code>`; `code` repeats it for programs, `request_id`
    finds the log lines, `field` names the wrong field where there is one.
    """

    type: str
    title: str
    status: int
    detail: str
    code: ErrorCode
    request_id: str
    field: str | None = None


class FacesError(Exception):
    """An error with a code of the catalogue.

    Parameters
    ----------
    code : which error.
    detail : a sentence for people; the catalogue's when left out.
    field : the field of the request at fault, where there is one.
    """

    def __init__(
        self, code: ErrorCode, detail: str | None = None, *, field: str | None = None
    ) -> None:
        self.code = code
        self.spec = CATALOGUE[code]
        self.detail = detail or self.spec.sentence
        self.field = field
        super().__init__(f"{code}: {self.detail}")

    @property
    def retryable(self) -> bool:
        """Whether the very same call may succeed later."""
        return self.spec.retryable

    def info(self) -> ErrorInfo:
        """Return the form that stands in a failed result."""
        return ErrorInfo(code=self.code, title=self.spec.title, message=self.detail)

    def problem(self, request_id: str) -> Problem:
        """Return the form that answers a failed request."""
        return Problem(
            type=f"urn:faces:error:{self.code}",
            title=self.spec.title,
            status=self.spec.status,
            detail=self.detail,
            code=self.code,
            request_id=request_id,
            field=self.field,
        )


class InvalidInput(FacesError):
    """A field of a request is wrong."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(ErrorCode.INVALID_REQUEST, detail, field=field)


class TooManyRequests(FacesError):
    """A key's limit is reached.

    Parameters
    ----------
    retry_after : seconds after which a request is let in again.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(ErrorCode.TOO_MANY_REQUESTS)
        self.retry_after = retry_after


class PhotoError(FacesError):
    """This photo cannot be answered, now or later."""


class TransientError(FacesError):
    """A dependency failed; the same call may succeed later."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, detail)
