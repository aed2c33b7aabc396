"""Batches: many jobs opened in one call, and counted together."""

from datetime import datetime

from pydantic import Field, model_validator

from faces.contracts.base import Document, StoredDocument
from faces.contracts.jobs import (
    DEFAULT_COLLECTION,
    CollectionName,
    ContentType,
    FileName,
    JobCreated,
    JobKind,
    JobParams,
    JobState,
    NewJob,
)

MAX_PHOTOS = 500


class BatchPhoto(Document):
    """One photo of a batch."""

    file_name: FileName | None = None
    content_type: ContentType = ContentType.JPEG


class NewBatch(Document):
    """The body of `POST /v1/batches`: the same question about many photos."""

    kind: JobKind = JobKind.IDENTIFY
    collection: CollectionName = DEFAULT_COLLECTION
    callback_url: str | None = Field(default=None, max_length=500)
    params: JobParams = JobParams()
    photos: tuple[BatchPhoto, ...] = Field(min_length=1, max_length=MAX_PHOTOS)

    @model_validator(mode="after")
    def _makes_jobs(self) -> "NewBatch":
        self.jobs()
        return self

    def jobs(self) -> list[NewJob]:
        """Return the job of each photo."""
        return [
            NewJob(
                kind=self.kind,
                collection=self.collection,
                callback_url=self.callback_url,
                params=self.params,
                file_name=photo.file_name,
                content_type=photo.content_type,
            )
            for photo in self.photos
        ]


class BatchCreated(StoredDocument):
    """The answer to `POST /v1/batches`: a job for each photo, in their order."""

    batch_id: str
    jobs: tuple[JobCreated, ...]
    poll_url: str


class BatchJob(StoredDocument):
    """A job of a batch and where it stands."""

    job_id: str
    file_name: str | None = None
    state: JobState


class BatchView(StoredDocument):
    """The answer to `GET /v1/batches/{id}`.

    Attributes
    ----------
    total : how many jobs the batch has.
    counts : how many of them stand in each state; all states are named.
    finished : whether every job has ended.
    submitted_at : UTC.
    """

    batch_id: str
    total: int
    counts: dict[JobState, int]
    finished: bool
    submitted_at: datetime
    jobs: tuple[BatchJob, ...]


class StoredBatch(StoredDocument):
    """A batch as it is kept.

    Attributes
    ----------
    ended : the final states that were seen so far, by job id; they never change again.
    """

    version: int = 1
    batch_id: str
    jobs: tuple[tuple[str, str | None], ...]
    ended: dict[str, JobState] = Field(default_factory=dict)
