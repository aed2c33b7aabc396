"""Collections and their settings, as the API is asked for them and answers them."""

from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from faces.contracts.base import Document, StoredDocument
from faces.contracts.jobs import LEAST_RATE, MOST_RATE, CollectionName, one_limit

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MAX_PHOTO_SECONDS = 7 * DAY
MAX_RESULT_SECONDS = 30 * DAY


class Retention(Document):
    """How long a collection keeps what is not enrolled; in seconds.

    The longest times are those of the buckets' lifecycle rules, which delete in any case.

    Attributes
    ----------
    photos_seconds : from the upload; 24 h.
    unmatched_seconds : vectors of unknown faces, from the answer with their `req_id`; the
        stack's setting (10 min) when left out.
    results_seconds : from the start of the job; 7 days.
    """

    photos_seconds: int = Field(default=DAY, ge=MINUTE, le=MAX_PHOTO_SECONDS)
    unmatched_seconds: int | None = Field(default=None, ge=10, le=DAY)
    results_seconds: int = Field(default=7 * DAY, ge=MINUTE, le=MAX_RESULT_SECONDS)


class CollectionSettings(Document):
    """What holds for all jobs of a collection that do not say otherwise.

    Attributes
    ----------
    false_accept_rate : the share of strangers' faces that may be answered with somebody;
        the stack's where neither this nor a threshold is given.
    threshold : a fixed cosine similarity from which a face counts as the person, instead of
        the one that a rate gives. With -1 the best match is always answered.
    """

    false_accept_rate: float | None = Field(default=None, ge=LEAST_RATE, le=MOST_RATE)
    threshold: float | None = Field(default=None, ge=-1.0, le=1.0)
    retention: Retention = Retention()

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        return one_limit(self)


class NewCollection(Document):
    """The body of `POST /v1/collections`."""

    collection: CollectionName
    settings: CollectionSettings = CollectionSettings()


class Collection(StoredDocument):
    """A collection of a tenant; `created_at` in UTC."""

    collection: str
    settings: CollectionSettings = CollectionSettings()
    people: int
    faces: int
    created_at: datetime


class CollectionList(StoredDocument):
    """A tenant's collections, by name."""

    collections: tuple[Collection, ...]


class CollectionDeleted(StoredDocument):
    """The answer to `DELETE /v1/collections/{collection}`: what went with it."""

    collection: str
    people: int
    faces: int
    unmatched_faces: int
    photos: int
