"""What the gallery stores and answers about people, without vectors."""

from dataclasses import dataclass
from datetime import datetime

from faces.contracts.base import StoredDocument
from faces.contracts.people import NewPerson as NewPerson
from faces.contracts.people import Person as Person
from faces.contracts.people import PersonPage as PersonPage
from faces.contracts.people import PersonUpdate as PersonUpdate
from faces.contracts.results import FaceQuality


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
