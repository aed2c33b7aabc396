"""People of a collection."""

from chalice_app.photos import delete_photos
from chalice_app.registry import Area, Call
from faces.contracts.errors import ErrorCode
from faces.contracts.keys import Scope
from faces.contracts.people import (
    EnrolUnknown,
    InCollection,
    MergePeople,
    NewPerson,
    PeopleQuery,
    Person,
    PersonDeleted,
    PersonPage,
    PersonUpdate,
)
from faces.contracts.results import Enrolment

area = Area("people", "People of a collection")

UNKNOWN = (ErrorCode.UNKNOWN_COLLECTION, ErrorCode.UNKNOWN_PERSON)
REFUSED = (
    ErrorCode.UNKNOWN_REQ_ID,
    ErrorCode.POOR_FACE,
    ErrorCode.LOOKS_LIKE_ANOTHER,
    ErrorCode.DUPLICATE_FACE,
)


@area.operation(
    "POST",
    "/v1/people",
    scopes=[Scope.ENROL],
    status=201,
    errors=[*UNKNOWN, *REFUSED, ErrorCode.DUPLICATE_PERSON],
    answer=Enrolment,
    also={Person: 201},
)
def enroll_person(call: Call, body: EnrolUnknown) -> Enrolment | Person:
    """Make a person, of an unknown face by its req_id or without a face yet.

    A poor face, one that looks like another person and one that is enrolled already are
    refused; with `force` they are enrolled, and `warnings` says so.
    """
    from faces.gallery.enrolment import Guard

    gallery, person = call.context.gallery, body.person
    if body.req_id is None:
        assert isinstance(person, NewPerson), "the body's own check"
        return gallery.create_person(call.tenant, body.collection, person, actor=call.caller.key_id)
    return gallery.enroll_unmatched(
        tenant=call.tenant,
        collection=body.collection,
        req_id=body.req_id,
        person=person,
        guard=Guard(force=body.force),
        actor=call.caller.key_id,
    )


@area.operation("GET", "/v1/people", scopes=[Scope.READ], errors=[ErrorCode.UNKNOWN_COLLECTION])
def list_people(call: Call, query: PeopleQuery) -> PersonPage:
    """Answer the people of a collection by name, page by page."""
    return call.context.gallery.list_people(
        call.tenant, query.collection, query=query.query, cursor=query.cursor, limit=query.limit
    )


@area.operation("GET", "/v1/people/{person_id}", scopes=[Scope.READ], errors=UNKNOWN)
def get_person(call: Call, person_id: str, query: InCollection) -> Person:
    """Answer one person."""
    return call.context.gallery.get_person(call.tenant, query.collection, person_id)


@area.operation(
    "PATCH",
    "/v1/people/{person_id}",
    scopes=[Scope.ENROL],
    errors=[*UNKNOWN, ErrorCode.DUPLICATE_PERSON],
)
def update_person(call: Call, person_id: str, query: InCollection, body: PersonUpdate) -> Person:
    """Change a person: what is given is changed, null empties a field."""
    return call.context.gallery.update_person(
        call.tenant, query.collection, person_id, body, actor=call.caller.key_id
    )


@area.operation("POST", "/v1/people/{person_id}/merge", scopes=[Scope.ENROL], errors=UNKNOWN)
def merge_people(call: Call, person_id: str, query: InCollection, body: MergePeople) -> Person:
    """Make one person of two: this one gets all faces of the other, who goes.

    Birthdate, e-mail and external id come over where this one has none.
    """
    return call.context.gallery.merge_people(
        call.tenant,
        query.collection,
        keep=person_id,
        merge=body.merge,
        actor=call.caller.key_id,
    )


@area.operation("DELETE", "/v1/people/{person_id}", scopes=[Scope.ENROL], errors=UNKNOWN)
def delete_person(call: Call, person_id: str, query: InCollection) -> PersonDeleted:
    """Delete a person with all faces, vectors and the photos that they came from.

    From this answer on no new result names the person. The audit log keeps who asked for
    it, and how much went.
    """
    context = call.context
    deleted = context.gallery.delete_person(
        call.tenant, query.collection, person_id, actor=call.caller.key_id
    )
    delete_photos(context, deleted.jobs)
    return PersonDeleted(
        person_id=person_id,
        faces=deleted.faces,
        unmatched_faces=deleted.unmatched_faces,
        photos=len(deleted.jobs),
    )
