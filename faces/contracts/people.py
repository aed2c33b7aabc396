"""People as the API answers them, without faces' vectors."""

from datetime import date, datetime

from faces.contracts.base import StoredDocument


class Person(StoredDocument):
    """A person of a collection.

    Attributes
    ----------
    faces : how many faces are enrolled.
    created_at : UTC.
    """

    person_id: str
    name: str
    birthdate: date | None = None
    email: str | None = None
    external_id: str | None = None
    faces: int
    created_at: datetime


class PersonPage(StoredDocument):
    """Some people, by name.

    Attributes
    ----------
    next_cursor : ask for the next page with it; None on the last page.
    """

    people: tuple[Person, ...]
    next_cursor: str | None = None


class PersonDeleted(StoredDocument):
    """The answer to `DELETE /v1/people/{id}`; `faces` is how many went with the person."""

    person_id: str
    faces: int
