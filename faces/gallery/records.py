"""What the gallery stores and answers about people, without vectors."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from faces.contracts.base import Document, StoredDocument
from faces.contracts.jobs import PersonName
from faces.contracts.people import Person as Person
from faces.contracts.people import PersonPage as PersonPage
from faces.contracts.results import FaceQuality


def _one_line(text: str) -> str:
    """Return `text` without outer blanks; refuse what no database or page can show."""
    stripped = text.strip()
    if not stripped or not stripped.isprintable():
        raise ValueError("must hold visible text without control characters")
    return stripped


Line = AfterValidator(_one_line)


Name = Annotated[PersonName, Line]
Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$"), Line]
ExternalId = Annotated[str, Field(min_length=1, max_length=200), Line]


class NewPerson(Document):
    """A person to be made.

    Attributes
    ----------
    name : need not be unique.
    email : unique in the collection, whatever its case.
    external_id : the client's own key of the person; unique in the collection.
    """

    name: Name
    birthdate: date | None = None
    email: Email | None = None
    external_id: ExternalId | None = None


class PersonUpdate(Document):
    """What to change of a person: the fields that are given; None empties one."""

    # The default is never stored: only fields that were given are.
    name: Name = ""
    birthdate: date | None = None
    email: Email | None = None
    external_id: ExternalId | None = None


class CollectionInfo(StoredDocument):
    """A collection of a tenant; `created_at` in UTC."""

    collection: str
    people: int
    faces: int
    created_at: datetime


class StoredFace(StoredDocument):
    """An enrolled face, without its vector.

    Attributes
    ----------
    model_tag : of the model that made the vector.
    created_at : UTC.
    """

    face_id: str
    model_tag: str
    quality: FaceQuality | None = None
    created_at: datetime


@dataclass(frozen=True)
class Purged:
    """How many rows a purge deleted."""

    unmatched_faces: int
    changes: int
