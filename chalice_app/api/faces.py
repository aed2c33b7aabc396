"""Enrolled faces, without their vectors."""

from chalice_app.api.people import REFUSED, UNKNOWN
from chalice_app.photos import delete_photos
from chalice_app.registry import Area, Call
from faces.contracts.errors import ErrorCode
from faces.contracts.keys import Scope
from faces.contracts.people import (
    AddFace,
    FaceDeleted,
    FaceList,
    InCollection,
    MoveFace,
    Person,
)
from faces.contracts.results import Enrolment

area = Area("faces", "Enrolled faces of people; a photo's face is added by a job `enroll`")


@area.operation("GET", "/v1/people/{person_id}/faces", scopes=[Scope.READ], errors=UNKNOWN)
def list_faces(call: Call, person_id: str, query: InCollection) -> FaceList:
    """List a person's faces, the oldest first."""
    faces = call.context.gallery.list_faces(call.tenant, query.collection, person_id)
    return FaceList(faces=tuple(faces))


@area.operation(
    "POST",
    "/v1/people/{person_id}/faces",
    scopes=[Scope.ENROL],
    status=201,
    errors=[*UNKNOWN, *REFUSED],
)
def add_face(call: Call, person_id: str, query: InCollection, body: AddFace) -> Enrolment:
    """Give an unknown face, by its req_id, to a person who is there."""
    from faces.gallery.enrolment import Guard

    return call.context.gallery.enroll_unmatched(
        tenant=call.tenant,
        collection=query.collection,
        req_id=body.req_id,
        person=person_id,
        guard=Guard(force=body.force),
        actor=call.caller.key_id,
    )


@area.operation(
    "PATCH",
    "/v1/faces/{face_id}",
    scopes=[Scope.ENROL],
    errors=[*UNKNOWN, ErrorCode.UNKNOWN_FACE],
)
def move_face(call: Call, face_id: str, query: InCollection, body: MoveFace) -> Person:
    """Give a face to another person of the collection, who is answered."""
    return call.context.gallery.move_face(
        call.tenant, query.collection, face_id, body.person_id, actor=call.caller.key_id
    )


@area.operation(
    "DELETE",
    "/v1/faces/{face_id}",
    scopes=[Scope.ENROL],
    errors=[ErrorCode.UNKNOWN_COLLECTION, ErrorCode.UNKNOWN_FACE],
)
def delete_face(call: Call, face_id: str, query: InCollection) -> FaceDeleted:
    """Delete a face, its vector and its photo; the person stays, even without faces."""
    context = call.context
    deleted = context.gallery.delete_face(
        call.tenant, query.collection, face_id, actor=call.caller.key_id
    )
    delete_photos(context, deleted.jobs)
    return FaceDeleted(face_id=face_id, photos=len(deleted.jobs))
