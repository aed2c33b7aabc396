"""Export and import of a collection: versioned JSON lines, vectors included.

A file begins with a `Header`, holds one `PersonRecord` a line, and ends with a `Footer`,
whose checksum covers all lines before it.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from faces.contracts.base import Document, StoredDocument
from faces.contracts.collections import CollectionSettings
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import PersonName
from faces.contracts.people import Email, ExternalId
from faces.contracts.results import FaceQuality
from faces.contracts.texts import Line

MAX_PEOPLE = 200
# An answer of Lambda has 6 MB at most ("Lambda quotas", Lambda developer guide); a face takes
# about 1.7 KB of it.
MAX_FACES_OF_PERSON = 3000
FACES_AT_ONCE = 1000
"""After so many a page of an export, or a part of an import, takes no further person."""

# base64 of 512 half-precision numbers, little-endian.
VECTOR_CHARACTERS = 1368
_YEARS = range(1900, 9999)


def _in_utc(moment: datetime) -> datetime:
    """Return a time in UTC; refuse what no zone's calendar may hold any more."""
    if moment.year not in _YEARS:
        raise ValueError(f"must be of the years {_YEARS[0]} to {_YEARS[-1]}")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class FaceRecord(Document):
    """A face with its vector: base64 of 512 IEEE 754 half-precision numbers, little-endian."""

    face_id: str = Field(min_length=36, max_length=36)
    model_tag: Annotated[str, Field(min_length=1, max_length=200), Line]
    vector: str = Field(min_length=VECTOR_CHARACTERS, max_length=VECTOR_CHARACTERS)
    quality: FaceQuality | None = None
    created_at: Annotated[datetime, AfterValidator(_in_utc)] | None = None


class PersonRecord(Document):
    """A person with all faces."""

    person_id: str = Field(min_length=36, max_length=36)
    name: PersonName
    birthdate: date | None = None
    email: Email | None = None
    external_id: ExternalId | None = None
    faces: tuple[FaceRecord, ...] = Field(default=(), max_length=MAX_FACES_OF_PERSON)
    created_at: Annotated[datetime, AfterValidator(_in_utc)] | None = None


class Header(StoredDocument):
    """The first line of a file; older ones know no `settings` of the collection."""

    format: Literal["elastic-faces-collection"] = "elastic-faces-collection"
    version: Literal[1] = 1
    collection: str
    exported_at: datetime
    settings: CollectionSettings | None = None


class Footer(StoredDocument):
    """The last line of a file; `sha256`, in hex, of all lines before it with their ends."""

    people: int
    faces: int
    sha256: str


class ExportQuery(Document):
    """The query of an export; `cursor` is `next_cursor` of the page before."""

    cursor: str | None = Field(default=None, max_length=36)
    limit: int = Field(default=100, ge=1, le=MAX_PEOPLE)


class ExportPage(StoredDocument):
    """Some people of a collection, by id."""

    people: tuple[PersonRecord, ...]
    next_cursor: str | None = None


class ImportPeople(Document):
    """The body of an import: people of an export, a part at a time."""

    people: tuple[PersonRecord, ...] = Field(min_length=1, max_length=MAX_PEOPLE)


class Skipped(StoredDocument):
    """A person that was not imported, and why."""

    person_id: str
    code: ErrorCode
    message: str


class Imported(StoredDocument):
    """What an import added; what is there already is left as it is."""

    people: int
    faces: int
    skipped: tuple[Skipped, ...] = ()
