"""People and faces as the API is asked for them and answers them, without vectors."""

from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from faces.contracts.base import Document, StoredDocument
from faces.contracts.jobs import DEFAULT_COLLECTION, CollectionName, PersonName
from faces.contracts.results import FaceQuality
from faces.contracts.texts import Line

MAX_LIMIT = 1000


def _drop_default(schema: dict[str, Any]) -> None:
    del schema["default"]


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

    name: PersonName
    birthdate: date | None = None
    email: Email | None = None
    external_id: ExternalId | None = None


class PersonUpdate(Document):
    """What to change of a person: the fields that are given; null empties one."""

    # The default is never stored: only fields that were given are.
    name: PersonName = Field(default="", json_schema_extra=_drop_default)
    birthdate: date | None = None
    email: Email | None = None
    external_id: ExternalId | None = None


class EnrolUnknown(Document):
    """The body of `POST /v1/people`: a new person, or whose face `req_id` is.

    Attributes
    ----------
    req_id : of an unknown face; without one a person is made who has no face yet.
    name : makes a new person, with birthdate, email and external_id where given.
    person_id : adds the face to a person who is there.
    force : store the face though a check advises against it.
    """

    collection: CollectionName = DEFAULT_COLLECTION
    req_id: str | None = Field(default=None, min_length=1, max_length=36)
    person_id: str | None = Field(default=None, max_length=36)
    name: PersonName | None = None
    birthdate: date | None = None
    email: Email | None = None
    external_id: ExternalId | None = None
    force: bool = False

    @model_validator(mode="after")
    def _new_or_known(self) -> Self:
        if (self.name is None) == (self.person_id is None):
            raise ValueError("either name or person_id is needed, not both")
        if self.req_id is None and self.person_id is not None:
            raise ValueError("a person who is there needs a req_id to get a face")
        details = (self.birthdate, self.email, self.external_id)
        if self.person_id is not None and any(detail is not None for detail in details):
            raise ValueError("a person who is there keeps their details; leave these out")
        return self

    @property
    def person(self) -> NewPerson | str:
        """The person to make, or the id of the one who is there."""
        if self.person_id is not None:
            return self.person_id
        assert self.name is not None, "one of both is given"
        return NewPerson(
            name=self.name,
            birthdate=self.birthdate,
            email=self.email,
            external_id=self.external_id,
        )


class InCollection(Document):
    """The query of all that concerns one collection."""

    collection: CollectionName = DEFAULT_COLLECTION


class PeopleQuery(InCollection):
    """The query of `GET /v1/people`.

    Attributes
    ----------
    query : only people whose name, e-mail or external id holds this text (case ignored).
    cursor : `next_cursor` of the page before.
    """

    query: str | None = Field(default=None, max_length=200)
    cursor: str | None = Field(default=None, max_length=2000)
    limit: int = Field(default=50, ge=1, le=MAX_LIMIT)


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
    """The answer to `DELETE /v1/people/{id}`: what went with the person.

    Attributes
    ----------
    faces : enrolled faces with their vectors.
    unmatched_faces : vectors of unknown faces that were the person's, by similarity.
    photos : from which all these came, as far as they were still kept.
    """

    person_id: str
    faces: int
    unmatched_faces: int = 0
    photos: int = 0


class MergePeople(Document):
    """The body of `POST /v1/people/{id}/merge`: the person who goes up in that one."""

    merge: str = Field(min_length=1, max_length=36)


class StoredFace(StoredDocument):
    """An enrolled face, without its vector.

    Attributes
    ----------
    model_tag : of the model that made the vector.
    job_id : of the photo that it came from; None where it was imported.
    created_at : UTC.
    """

    face_id: str
    model_tag: str
    job_id: str | None = None
    quality: FaceQuality | None = None
    created_at: datetime


class FaceList(StoredDocument):
    """A person's faces, the oldest first."""

    faces: tuple[StoredFace, ...]


class AddFace(Document):
    """The body of `POST /v1/people/{id}/faces`: an unknown face that is that person's.

    Attributes
    ----------
    force : store the face though a check advises against it.
    """

    req_id: str = Field(min_length=1, max_length=36)
    force: bool = False


class MoveFace(Document):
    """The body of `PATCH /v1/faces/{id}`: whose the face is."""

    person_id: str = Field(min_length=1, max_length=36)


class FaceDeleted(StoredDocument):
    """The answer to `DELETE /v1/faces/{id}`; `photos` as in `PersonDeleted`."""

    face_id: str
    photos: int = 0
