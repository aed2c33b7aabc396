"""Addresses of the projects that this service follows; their clients send no key."""

from pathlib import PurePosixPath

from chalice_app.api.people import REFUSED
from chalice_app.api.people import UNKNOWN as UNKNOWN_HERE
from chalice_app.dependencies import Context
from chalice_app.registry import Area, Call
from chalice_app.seeds import recognition
from chalice_app.seeds.documents import (
    ImageForm,
    JobAccepted,
    NewUser,
    PhotoForm,
    ProblemRefusal,
    Recognised,
    SeedRefusal,
    UserAdded,
    UserInfo,
    WaitQuery,
)
from chalice_app.validation import validate
from faces.contracts.errors import ErrorCode, FacesError, PhotoError
from faces.contracts.people import Person
from faces.contracts.results import PoorReason

area = Area("seeds", "Photo and answer in one request, without a key; off unless set up")

MULTIPART = "multipart/form-data"
UNKNOWN = "Unknown"
_PHOTO = (
    ErrorCode.UNKNOWN_ROUTE,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.JOB_UNFINISHED,
)


@area.operation(
    "POST",
    "/",
    scopes=None,
    errors=_PHOTO,
    consumes=[MULTIPART],
    answer=str,
    also={JobAccepted: 202},
    refusal=ProblemRefusal(),
)
def name_face(call: Call, body: PhotoForm, query: WaitQuery) -> str | JobAccepted:
    """Answer `<file name without extension>:<name>` of the largest face.

    The name is `Unknown` where nobody in the collection is similar enough. With `wait=0`
    the job's address is answered at once.
    """
    context = call.context
    submission = recognition.prepare(context, recognition.scope_of(context), body.inputFile)
    poll_url = f"{call.base_url}/v1/jobs/{submission.job_id}"
    call.headers["Location"] = poll_url
    if query.wait == 0:
        submission.upload(context)
        return JobAccepted(job_id=submission.job_id, poll_url=poll_url)
    face = recognition.largest_face(recognition.answer_of(context, submission, query.wait))
    name = face.match.name if face is not None and face.match is not None else UNKNOWN
    return f"{PurePosixPath(_one_line(body.inputFile.name)).stem}:{name}"


@area.operation(
    "POST",
    "/api/v1/recognise_user",
    scopes=None,
    errors=[*_PHOTO, ErrorCode.NO_FACE, ErrorCode.POOR_FACE],
    consumes=[MULTIPART],
    refusal=SeedRefusal(),
)
def recognise_user(call: Call, body: ImageForm) -> Recognised:
    """Answer who the largest face of a photo is.

    Where nobody is similar enough, `req_id` names the face to `add_user`.
    """
    context = call.context
    scope = recognition.scope_of(context)
    submission = recognition.prepare(context, scope, body.image)
    result = recognition.answer_of(context, submission, recognition.LONGEST_WAIT_SECONDS)
    face = recognition.largest_face(result)
    if face is None:
        raise PhotoError(ErrorCode.NO_FACE)
    if PoorReason.LOW_CONFIDENCE in face.quality.reasons:
        raise PhotoError(ErrorCode.POOR_FACE, "It is not certain that this is a face.")
    metadata = {
        "job_id": submission.job_id,
        "confidence": face.confidence,
        "box": face.box.model_dump(),
        "cached": result.cached,
        "timings_ms": result.timings_ms,
    }
    known = None if face.match is None else _person(context, scope, face.match.person_id)
    if face.match is None or known is None:
        return Recognised(
            status="failure",
            message="no_match",
            req_id=face.req_id,
            expiresAt=face.req_id_expires_at,
            metadata=metadata,
        )
    return Recognised(
        status="success",
        message="Match found",
        user_info=UserInfo(id=known.person_id, name=known.name, email=known.email or ""),
        metadata={
            **metadata,
            "similarity": face.match.similarity,
            "threshold": face.match.threshold,
        },
    )


@area.operation(
    "POST",
    "/api/v1/add_user",
    scopes=None,
    errors=[ErrorCode.UNKNOWN_ROUTE, *REFUSED, ErrorCode.DUPLICATE_PERSON],
    consumes=["application/json", MULTIPART],
    refusal=SeedRefusal(),
)
def add_user(call: Call, body: NewUser) -> UserAdded:
    """Make a person of the unknown face of an earlier answer.

    A poor face, one that looks like another person and one that is enrolled already are
    refused, unless `force` is sent.
    """
    from faces.gallery.enrolment import Guard
    from faces.gallery.records import NewPerson

    scope = recognition.scope_of(call.context)
    person = validate(
        NewPerson,
        {
            "name": body.name,
            "birthdate": body.birthdate,
            # A form sends an empty text for what is left out.
            "email": body.email or None,
        },
    )
    try:
        enrolled = call.context.gallery.enroll_unmatched(
            tenant=scope.tenant,
            collection=scope.collection,
            req_id=body.req_id,
            person=person,
            guard=Guard(force=body.force),
        )
    except FacesError as error:
        if error.code is ErrorCode.UNKNOWN_COLLECTION:
            raise FacesError(ErrorCode.UNKNOWN_REQ_ID) from None
        raise
    return UserAdded(user_id=enrolled.person_id)


def _person(context: Context, scope: recognition.Scope, person_id: str) -> Person | None:
    """Return who was recognised, None where the person was deleted since."""
    try:
        return context.gallery.get_person(scope.tenant, scope.collection, person_id)
    except FacesError as error:
        if error.code in UNKNOWN_HERE:
            return None
        raise


def _one_line(name: str) -> str:
    return "".join(letter for letter in name if letter.isprintable())
