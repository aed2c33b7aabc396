"""People of a collection."""

from chalice_app.registry import Area, Call
from faces.contracts.errors import ErrorCode
from faces.contracts.keys import Scope
from faces.contracts.people import (
    EnrolUnknown,
    InCollection,
    PeopleQuery,
    Person,
    PersonDeleted,
    PersonPage,
)
from faces.contracts.results import Enrolment

area = Area("people", "People of a collection")


@area.operation(
    "POST",
    "/v1/people",
    scopes=[Scope.ENROL],
    status=201,
    errors=[
        ErrorCode.UNKNOWN_COLLECTION,
        ErrorCode.UNKNOWN_REQ_ID,
        ErrorCode.UNKNOWN_PERSON,
        ErrorCode.DUPLICATE_PERSON,
    ],
)
def enroll_person(call: Call, body: EnrolUnknown) -> Enrolment:
    """Enrol an unknown face by its req_id."""
    return call.context.gallery.enroll_unmatched(
        tenant=call.tenant, collection=body.collection, req_id=body.req_id, person=body.person
    )


@area.operation("GET", "/v1/people", scopes=[Scope.READ], errors=[ErrorCode.UNKNOWN_COLLECTION])
def list_people(call: Call, query: PeopleQuery) -> PersonPage:
    """Answer the people of a collection by name, page by page."""
    return call.context.gallery.list_people(
        call.tenant, query.collection, query=query.query, cursor=query.cursor, limit=query.limit
    )


@area.operation(
    "GET",
    "/v1/people/{person_id}",
    scopes=[Scope.READ],
    errors=[ErrorCode.UNKNOWN_COLLECTION, ErrorCode.UNKNOWN_PERSON],
)
def get_person(call: Call, person_id: str, query: InCollection) -> Person:
    """Answer one person."""
    return call.context.gallery.get_person(call.tenant, query.collection, person_id)


@area.operation(
    "DELETE",
    "/v1/people/{person_id}",
    scopes=[Scope.ENROL],
    errors=[ErrorCode.UNKNOWN_COLLECTION, ErrorCode.UNKNOWN_PERSON],
)
def delete_person(call: Call, person_id: str, query: InCollection) -> PersonDeleted:
    """Delete a person with all their faces."""
    deleted = call.context.gallery.delete_person(call.tenant, query.collection, person_id)
    return PersonDeleted(person_id=person_id, faces=deleted)
