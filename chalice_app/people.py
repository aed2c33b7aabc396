"""People as clients see them: made from unknown faces, listed, deleted."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from chalice_app.validation import validate
from faces.contracts.base import Document
from faces.contracts.errors import InvalidInput
from faces.contracts.jobs import DEFAULT_COLLECTION, CollectionName
from faces.contracts.people import PersonDeleted
from faces.contracts.results import Enrolment

if TYPE_CHECKING:
    from faces.gallery.gallery import Gallery
    from faces.gallery.records import Person, PersonPage

_DEFAULT_LIMIT = 50


class EnrolUnknown(Document):
    """The body of `POST /v1/people`: whose face `req_id` is.

    Attributes
    ----------
    name : makes a new person, with birthdate, email and external_id where given.
    person_id : adds the face to a person who is there.
    """

    collection: CollectionName = DEFAULT_COLLECTION
    req_id: str = Field(min_length=1, max_length=36)
    person_id: str | None = Field(default=None, max_length=36)
    name: str | None = None
    birthdate: date | None = None
    email: str | None = None
    external_id: str | None = None

    @model_validator(mode="after")
    def _new_or_known(self) -> Self:
        if (self.name is None) == (self.person_id is None):
            raise ValueError("either name or person_id is needed, not both")
        if self.person_id is not None and self.details:
            raise ValueError("a person who is there keeps their details; leave these out")
        return self

    @property
    def details(self) -> dict[str, Any]:
        """What a new person gets beside the name."""
        given = {
            "birthdate": self.birthdate,
            "email": self.email,
            "external_id": self.external_id,
        }
        return {name: value for name, value in given.items() if value is not None}


class _Where(Document):
    collection: CollectionName = DEFAULT_COLLECTION


def enroll_unknown(body: Mapping[str, Any], *, tenant: str, gallery: "Gallery") -> Enrolment:
    """Enrol the unknown face of a `req_id`.

    Raises
    ------
    FacesError
        `invalid_request`, `unknown_req_id`, `unknown_person`, `unknown_collection`,
        `duplicate_person`.
    """
    from faces.gallery.records import NewPerson

    asked = validate(EnrolUnknown, body)
    person: NewPerson | str
    if asked.person_id is not None:
        person = asked.person_id
    else:
        person = validate(NewPerson, {"name": asked.name, **asked.details})
    return gallery.enroll_unmatched(
        tenant=tenant, collection=asked.collection, req_id=asked.req_id, person=person
    )


def get_person(
    person_id: str, *, tenant: str, collection: str | None, gallery: "Gallery"
) -> "Person":
    """Return a person; FacesError `unknown_person` where there is none."""
    return gallery.get_person(tenant, _collection(collection), person_id)


def list_people(
    *,
    tenant: str,
    collection: str | None,
    query: str | None,
    cursor: str | None,
    limit: str | None,
    gallery: "Gallery",
) -> "PersonPage":
    """Return one page of people by name; the values are as they stand in the address."""
    return gallery.list_people(
        tenant,
        _collection(collection),
        query=query or None,
        cursor=cursor or None,
        limit=_number("limit", limit) if limit else _DEFAULT_LIMIT,
    )


def delete_person(
    person_id: str, *, tenant: str, collection: str | None, gallery: "Gallery"
) -> PersonDeleted:
    """Delete a person with all faces; FacesError `unknown_person` where there is none."""
    deleted = gallery.delete_person(tenant, _collection(collection), person_id)
    return PersonDeleted(person_id=person_id, faces=deleted)


def _collection(text: str | None) -> str:
    return validate(_Where, {"collection": text} if text else {}).collection


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidInput(name, f"{name}: must be a whole number")
    return int(text[:9])
