"""What the gallery stores and answers about people, without vectors."""

from dataclasses import dataclass

from faces.contracts.people import NewPerson as NewPerson
from faces.contracts.people import Person as Person
from faces.contracts.people import PersonPage as PersonPage
from faces.contracts.people import PersonUpdate as PersonUpdate
from faces.contracts.people import StoredFace as StoredFace


@dataclass(frozen=True)
class Deleted:
    """What a deletion took along.

    Attributes
    ----------
    jobs : whose photos are to be deleted.
    """

    people: int
    faces: int
    unmatched_faces: int
    jobs: tuple[str, ...]


@dataclass(frozen=True)
class Purged:
    """How many rows a purge deleted."""

    unmatched_faces: int
    changes: int
