"""Jobs: what a client asks for, how it rides on the photo, and what crosses the queues.

There is no job table. The whole request travels as `x-amz-meta-*` fields of the
uploaded object; the presigned policy fixes each of them, so a client can neither
change nor forge them. Queue messages hold references, never images.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Protocol, Self, TypeVar
from urllib.parse import quote, unquote

from pydantic import Field, ValidationError, field_validator, model_validator

from faces.contracts.base import Document, StoredDocument
from faces.contracts.errors import ErrorCode, ErrorInfo, FacesError
from faces.contracts.names import PLACE_NAME
from faces.contracts.results import JobResult
from faces.contracts.texts import Line

DEFAULT_TENANT = "default"
DEFAULT_COLLECTION = "default"
MAX_FACES = 100
MAX_CANDIDATES = 10
LEAST_RATE = 1e-6
MOST_RATE = 0.5
MAX_WAIT_SECONDS = 20

CollectionName = Annotated[str, Field(pattern=f"^{PLACE_NAME}$")]
FileName = Annotated[str, Field(min_length=1, max_length=200)]
PersonName = Annotated[str, Field(min_length=1, max_length=200), Line]


class JobKind(StrEnum):
    """What is asked of a photo."""

    IDENTIFY = "identify"
    ENROLL = "enroll"
    VERIFY = "verify"
    DETECT = "detect"


class JobState(StrEnum):
    """Where a job stands, worked out from its id's time, its upload and its result."""

    AWAITING_UPLOAD = "awaiting_upload"
    QUEUED = "queued"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """Whether the state never changes again."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED)


class ContentType(StrEnum):
    """Image types that may be announced for an upload."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"


class QualityFilter(StrEnum):
    """How poor a face may be before it is only detected, never matched or enrolled."""

    NONE = "NONE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class Limited(Protocol):
    """What says from where on a face is somebody's: by a rate, or by a fixed threshold.

    The job comes first, then its collection, then the service; whoever says something says
    one of the two.
    """

    @property
    def false_accept_rate(self) -> float | None: ...

    @property
    def threshold(self) -> float | None: ...


_Limited = TypeVar("_Limited", bound=Limited)


def one_limit(given: _Limited) -> _Limited:
    """Return `given`; ValueError where it names a rate and a threshold."""
    if given.false_accept_rate is not None and given.threshold is not None:
        raise ValueError("give either false_accept_rate or threshold, not both")
    return given


class JobParams(Document):
    """Options of a job; what an option is for is said by the kinds that read it.

    Attributes
    ----------
    false_accept_rate : identify: the share of strangers' faces that may be answered with
        somebody of the collection; verify: the share of other people that may be taken for
        the claimed person. What counts where neither this nor a threshold is given: the
        collection's (identify), then the service's.
    threshold : a fixed cosine similarity instead of a rate. identify, verify. With -1
        identify answers the best match whoever it is.
    max_faces : at most so many faces are answered, the largest first; the others are
        `left_out`. identify, detect.
    candidates : how many next best people each face lists. identify.
    quality_filter : the poorest face that is still matched or enrolled; detect: by which
        limits a face's `reasons` are given.
    person_id : whose face this is (enroll) or who it should be (verify).
    person_name : enroll: makes a new person of this name.
    req_id : verify: compare with the unknown face that this id was given to.
    force : enroll: store the face though a check advises against it.
    cache : whether the answer of an earlier job may be repeated where photo, question
        and gallery are the same. all but enroll.
    """

    false_accept_rate: float | None = Field(default=None, ge=LEAST_RATE, le=MOST_RATE)
    threshold: float | None = Field(default=None, ge=-1.0, le=1.0)
    max_faces: int = Field(default=MAX_FACES, ge=1, le=MAX_FACES)
    candidates: int = Field(default=3, ge=0, le=MAX_CANDIDATES)
    quality_filter: QualityFilter = QualityFilter.NONE
    person_id: str | None = Field(default=None, max_length=36)
    person_name: PersonName | None = None
    req_id: str | None = Field(default=None, max_length=36)
    force: bool = False
    cache: bool = True

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        return one_limit(self)


class NewJob(Document):
    """The body of `POST /v1/jobs`: what a client asks of a photo."""

    kind: JobKind = JobKind.IDENTIFY
    collection: CollectionName = DEFAULT_COLLECTION
    content_type: ContentType = ContentType.JPEG
    file_name: FileName | None = None
    callback_url: str | None = Field(default=None, max_length=500)
    params: JobParams = JobParams()

    @field_validator("file_name")
    @classmethod
    def _no_control_characters(cls, name: str | None) -> str | None:
        if name is not None and not name.isprintable():
            raise ValueError("must not hold control characters")
        return name

    @model_validator(mode="after")
    def _kind_has_what_it_needs(self) -> Self:
        given = self.params
        if self.kind is JobKind.ENROLL and (given.person_id is None) == (given.person_name is None):
            raise ValueError("enroll needs either params.person_id or params.person_name")
        if self.kind is JobKind.VERIFY and (given.person_id is None) == (given.req_id is None):
            raise ValueError("verify needs either params.person_id or params.req_id")
        return self


class JobRequest(NewJob):
    """A job as the service understands it.

    Attributes
    ----------
    tenant : whose key it came with.
    key_id : that key, for the audit log.
    """

    tenant: str = DEFAULT_TENANT
    key_id: str | None = Field(default=None, max_length=36)

    def to_metadata(self) -> dict[str, str]:
        """Return the object metadata (without the `x-amz-meta-` prefix), ASCII only.

        S3 allows 2 KB of user metadata a object ("Object metadata", S3 user guide);
        the limits on the fields keep well below that unless a file name is all
        non-ASCII, which `POST /v1/jobs` checks.
        """
        fields = {
            "kind": self.kind.value,
            "tenant": self.tenant,
            "collection": self.collection,
            "content-type": self.content_type.value,
            "params": quote(self.params.model_dump_json(exclude_defaults=True), safe="{}:,"),
        }
        if self.file_name is not None:
            fields["file-name"] = quote(self.file_name, safe=" ")
        if self.callback_url is not None:
            fields["callback-url"] = self.callback_url
        if self.key_id is not None:
            fields["key-id"] = self.key_id
        return fields

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> "JobRequest":
        """Read a request back from object metadata.

        Raises
        ------
        FacesError
            `upload_rejected` when the metadata was not made by `to_metadata`.
        """
        try:
            return cls(
                kind=JobKind(metadata["kind"]),
                tenant=metadata["tenant"],
                collection=metadata["collection"],
                content_type=ContentType(metadata["content-type"]),
                file_name=unquote(metadata["file-name"]) if "file-name" in metadata else None,
                callback_url=metadata.get("callback-url"),
                key_id=metadata.get("key-id"),
                params=JobParams.model_validate_json(unquote(metadata["params"])),
            )
        except (KeyError, ValueError, ValidationError):
            raise FacesError(ErrorCode.UPLOAD_REJECTED) from None


class JobMessage(StoredDocument):
    """One message on the req-queue: which object to work on.

    Attributes
    ----------
    size : bytes of the object, as S3 reported them.
    rounds : how often the job was put back on the queue after it had come to the dead
        letters; from the first time on it is worked on alone.
    trace_id : follows the request through every part, where tracing is on.
    """

    version: Literal[1] = 1
    job_id: str
    key: str
    size: int = Field(ge=0)
    rounds: int = Field(default=0, ge=0)
    trace_id: str | None = None


class JobDone(StoredDocument):
    """One message on the resp-queue: this job has a result.

    Attributes
    ----------
    submitted_at, finished_at : UTC; their difference is the end-to-end time.
    """

    version: Literal[1] = 1
    job_id: str
    kind: JobKind
    state: JobState
    tenant: str
    error_code: ErrorCode | None = None
    callback_url: str | None = None
    submitted_at: datetime
    finished_at: datetime


class UploadForm(StoredDocument):
    """A presigned POST: send `fields`, then the photo as the part `file`, to `url`.

    Source: S3 API reference, "POST Object" and "POST policy".
    """

    url: str
    fields: dict[str, str]
    max_bytes: int
    expires_at: datetime


class JobCreated(StoredDocument):
    """The answer to `POST /v1/jobs`."""

    job_id: str
    state: JobState = JobState.AWAITING_UPLOAD
    upload: UploadForm
    poll_url: str


class JobQuery(Document):
    """The query of `GET /v1/jobs/{id}`.

    Attributes
    ----------
    wait : seconds to wait for the end of a job that has not ended.
    """

    wait: int = Field(default=0, ge=0, le=MAX_WAIT_SECONDS)


class JobDeleted(StoredDocument):
    """The answer to `DELETE /v1/jobs/{id}`; `unmatched_faces` is how many went with it."""

    job_id: str
    unmatched_faces: int


class JobView(StoredDocument):
    """The answer to `GET /v1/jobs/{id}`."""

    job_id: str
    state: JobState
    submitted_at: datetime
    error: ErrorInfo | None = None
    result: JobResult | None = None
