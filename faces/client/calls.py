"""The requests that the service knows and how its answers are read; no input or output.

A `Call` is data: what is sent, whether it may be sent twice, and how the answer is
read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode
from xml.sax.saxutils import unescape

import httpx
from pydantic import BaseModel, ValidationError

from faces.client.errors import ApiError, UnexpectedAnswer, UploadRefused
from faces.client.photos import Photo
from faces.contracts.audit import AuditPage, AuditQuery
from faces.contracts.batches import BatchCreated, BatchView, NewBatch
from faces.contracts.collections import (
    Collection,
    CollectionDeleted,
    CollectionList,
    CollectionSettings,
    NewCollection,
)
from faces.contracts.dead_letters import DeadLetter, DeadLetterPage
from faces.contracts.errors import Problem
from faces.contracts.jobs import JobCreated, JobDeleted, JobKind, JobParams, JobView, UploadForm
from faces.contracts.keys import KeyCreated, KeyInfo, KeyList, NewKey
from faces.contracts.operations import OperationsView, RecentJobs
from faces.contracts.people import (
    AddFace,
    FaceDeleted,
    FaceList,
    NewPerson,
    Person,
    PersonDeleted,
    PersonPage,
    PersonUpdate,
)
from faces.contracts.results import Enrolment
from faces.contracts.transfer import ExportPage, Imported, ImportPeople
from faces.contracts.webhooks import WebhookKey

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request.

    Attributes
    ----------
    url : a path below the service's address, or a whole address.
    read : turns the answer into a value or raises a `ClientError`.
    json : the body as JSON, or
    form, file : the fields and then the part `file` of a multipart body.
    with_key : whether the API key is sent; never to another host.
    idempotent : whether doing it twice is the same as doing it once.
    """

    method: str
    url: str
    read: Callable[[httpx.Response], T]
    json: Mapping[str, object] | None = None
    form: Mapping[str, str] | None = None
    file: Photo | None = None
    with_key: bool = True
    idempotent: bool = True


def create_job(
    kind: JobKind,
    collection: str,
    photo: Photo,
    params: JobParams,
    callback_url: str | None = None,
) -> Call[JobCreated]:
    """Ask for a job and its upload form; one that is never used costs nothing."""
    body: dict[str, object] = {
        "kind": kind.value,
        "collection": collection,
        "content_type": photo.content_type.value,
        "params": params.model_dump(mode="json", exclude_defaults=True),
    }
    if photo.name is not None:
        body["file_name"] = photo.name
    if callback_url is not None:
        body["callback_url"] = callback_url
    return Call("POST", "/v1/jobs", _document(JobCreated), json=body)


def upload(form: UploadForm, photo: Photo) -> Call[None]:
    """Send the photo to S3; a second time replaces it by itself."""
    return Call(
        "POST", form.url, _read_s3, form=form.fields, file=photo, with_key=False, idempotent=True
    )


def get_job(job_id: str, wait: int = 0) -> Call[JobView]:
    """Ask how a job stands; the service waits up to `wait` seconds for its end."""
    query = f"?wait={wait}" if wait else ""
    return Call("GET", f"/v1/jobs/{quote(job_id, safe='')}{query}", _document(JobView))


def delete_job(job_id: str) -> Call[JobDeleted]:
    """Delete a job; a second time deletes nothing more."""
    return Call("DELETE", f"/v1/jobs/{_quoted(job_id)}", _document(JobDeleted))


def create_batch(batch: NewBatch) -> Call[BatchCreated]:
    """Ask for a job and its upload form for each photo; forms that are never used cost nothing."""
    body = batch.model_dump(mode="json", exclude_defaults=True)
    return Call("POST", "/v1/batches", _document(BatchCreated), json=body)


def get_batch(batch_id: str) -> Call[BatchView]:
    """Ask how many jobs of a batch stand where."""
    return Call("GET", f"/v1/batches/{_quoted(batch_id)}", _document(BatchView))


def enroll_req_id(collection: str, req_id: str, person: Mapping[str, object]) -> Call[Enrolment]:
    """Make a person of an unknown face; a req_id is used up, so not to be sent twice."""
    return Call(
        "POST",
        "/v1/people",
        _document(Enrolment),
        json={"collection": collection, "req_id": req_id, **person},
        idempotent=False,
    )


def create_person(collection: str, person: NewPerson) -> Call[Person]:
    """Make a person without a face; each time another, so not sent twice."""
    body = {"collection": collection, **person.model_dump(mode="json", exclude_none=True)}
    return Call("POST", "/v1/people", _document(Person), json=body, idempotent=False)


def add_face(collection: str, person_id: str, req_id: str, force: bool) -> Call[Enrolment]:
    """Give an unknown face to a person; a req_id is used up, so not to be sent twice."""
    url = f"/v1/people/{_quoted(person_id)}/faces?{urlencode({'collection': collection})}"
    body = AddFace(req_id=req_id, force=force).model_dump(mode="json", exclude_defaults=True)
    return Call("POST", url, _document(Enrolment), json=body, idempotent=False)


def list_people(collection: str, query: str | None, cursor: str | None) -> Call[PersonPage]:
    """Ask for a page of people."""
    asked = {"collection": collection, "query": query, "cursor": cursor}
    given = {name: value for name, value in asked.items() if value is not None}
    return Call("GET", f"/v1/people?{urlencode(given)}", _document(PersonPage))


def get_person(collection: str, person_id: str) -> Call[Person]:
    """Ask for one person."""
    return Call("GET", _person_url(collection, person_id), _document(Person))


def delete_person(collection: str, person_id: str) -> Call[PersonDeleted]:
    """Delete a person; a second time answers that nobody is there, so not sent twice."""
    url = _person_url(collection, person_id)
    return Call("DELETE", url, _document(PersonDeleted), idempotent=False)


def _person_url(collection: str, person_id: str) -> str:
    return f"/v1/people/{quote(person_id, safe='')}?{urlencode({'collection': collection})}"


def update_person(collection: str, person_id: str, update: PersonUpdate) -> Call[Person]:
    """Change what is given of a person."""
    body = update.model_dump(mode="json", exclude_unset=True)
    return Call("PATCH", _person_url(collection, person_id), _document(Person), json=body)


def merge_people(collection: str, keep: str, merge: str) -> Call[Person]:
    """Make one person of two; a second time the other is unknown, so not sent twice."""
    url = f"/v1/people/{_quoted(keep)}/merge?{urlencode({'collection': collection})}"
    return Call("POST", url, _document(Person), json={"merge": merge}, idempotent=False)


def list_faces(collection: str, person_id: str) -> Call[FaceList]:
    """Ask for a person's faces."""
    url = f"/v1/people/{_quoted(person_id)}/faces?{urlencode({'collection': collection})}"
    return Call("GET", url, _document(FaceList))


def move_face(collection: str, face_id: str, person_id: str) -> Call[Person]:
    """Give a face to another person."""
    body = {"person_id": person_id}
    return Call("PATCH", _face_url(collection, face_id), _document(Person), json=body)


def delete_face(collection: str, face_id: str) -> Call[FaceDeleted]:
    """Delete a face; a second time it is unknown, so not sent twice."""
    url = _face_url(collection, face_id)
    return Call("DELETE", url, _document(FaceDeleted), idempotent=False)


def create_collection(new: NewCollection) -> Call[Collection]:
    """Make a collection; a second time it exists, so not sent twice."""
    body = new.model_dump(mode="json", exclude_none=True)
    return Call("POST", "/v1/collections", _document(Collection), json=body, idempotent=False)


def list_collections() -> Call[CollectionList]:
    """Ask for all collections."""
    return Call("GET", "/v1/collections", _document(CollectionList))


def get_collection(collection: str) -> Call[Collection]:
    """Ask for one collection."""
    return Call("GET", f"/v1/collections/{_quoted(collection)}", _document(Collection))


def change_collection(collection: str, settings: CollectionSettings) -> Call[Collection]:
    """Replace a collection's settings."""
    url = f"/v1/collections/{_quoted(collection)}/settings"
    body = settings.model_dump(mode="json", exclude_none=True)
    return Call("PUT", url, _document(Collection), json=body)


def delete_collection(collection: str) -> Call[CollectionDeleted]:
    """Delete a collection; a second time it is unknown, so not sent twice."""
    url = f"/v1/collections/{_quoted(collection)}"
    return Call("DELETE", url, _document(CollectionDeleted), idempotent=False)


def export_page(collection: str, cursor: str | None) -> Call[ExportPage]:
    """Ask for some people with all faces and vectors."""
    query = "" if cursor is None else f"?{urlencode({'cursor': cursor})}"
    return Call(
        "GET", f"/v1/collections/{_quoted(collection)}/export{query}", _document(ExportPage)
    )


def import_people(collection: str, part: ImportPeople) -> Call[Imported]:
    """Add people of an export; twice adds nothing."""
    url = f"/v1/collections/{_quoted(collection)}/import"
    body = part.model_dump(mode="json", exclude_none=True)
    return Call("POST", url, _document(Imported), json=body)


def create_key(new: NewKey) -> Call[KeyCreated]:
    """Make a key; each time another, so not sent twice."""
    body = new.model_dump(mode="json", exclude_none=True)
    return Call("POST", "/v1/keys", _document(KeyCreated), json=body, idempotent=False)


def list_keys() -> Call[KeyList]:
    """Ask for all keys."""
    return Call("GET", "/v1/keys", _document(KeyList))


def revoke_key(key_id: str) -> Call[KeyInfo]:
    """Refuse a key from now on."""
    return Call("DELETE", f"/v1/keys/{_quoted(key_id)}", _document(KeyInfo))


def list_audit(query: AuditQuery) -> Call[AuditPage]:
    """Ask for a page of the audit log."""
    given = query.model_dump(mode="json", exclude_none=True)
    return Call("GET", f"/v1/audit?{urlencode(given)}", _document(AuditPage))


def recent_jobs(limit: int) -> Call[RecentJobs]:
    """Ask for the newest jobs."""
    return Call("GET", f"/v1/jobs?{urlencode({'limit': limit})}", _document(RecentJobs))


def operations(minutes: int) -> Call[OperationsView]:
    """Ask how the stack stands, and for its last minutes."""
    query = urlencode({"minutes": minutes})
    return Call("GET", f"/v1/operations?{query}", _document(OperationsView))


def dead_letters(cursor: str | None) -> Call[DeadLetterPage]:
    """Ask for a page of dead letters."""
    query = "" if cursor is None else f"?{urlencode({'cursor': cursor})}"
    return Call("GET", f"/v1/dead-letters{query}", _document(DeadLetterPage))


def redrive(job_id: str) -> Call[DeadLetter]:
    """Have a job that was given up worked on once more; twice does no harm."""
    url = f"/v1/dead-letters/{_quoted(job_id)}/redrive"
    return Call("POST", url, _document(DeadLetter))


def webhook_key() -> Call[WebhookKey]:
    """Ask for the key that signs the callbacks."""
    return Call("GET", "/v1/webhook-key", _document(WebhookKey))


def _face_url(collection: str, face_id: str) -> str:
    return f"/v1/faces/{_quoted(face_id)}?{urlencode({'collection': collection})}"


def _quoted(part: str) -> str:
    return quote(part, safe="")


def health() -> Call[dict[str, object]]:
    """Ask whether the service runs."""
    return Call("GET", "/health", _read_json_object, with_key=False)


def _document(model: type[Model]) -> Callable[[httpx.Response], Model]:
    def read(response: httpx.Response) -> Model:
        _raise_for_problem(response)
        try:
            return model.model_validate_json(response.content)
        except ValidationError:
            raise UnexpectedAnswer(response.status_code, response.text[:200]) from None

    return read


def _read_json_object(response: httpx.Response) -> dict[str, object]:
    _raise_for_problem(response)
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UnexpectedAnswer(response.status_code, response.text[:200])
    return answer


def _raise_for_problem(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        raise UnexpectedAnswer(response.status_code, response.text[:200]) from None
    raise ApiError(problem)


def _read_s3(response: httpx.Response) -> None:
    """Raise `UploadRefused` with what S3's error document says (S3 API, "Error responses")."""
    if response.is_success:
        return
    text = response.text
    raise UploadRefused(
        response.status_code,
        _element(text, "Code") or f"HTTP {response.status_code}",
        _element(text, "Message") or "no reason given",
    )


def _element(xml: str, name: str) -> str | None:
    """Return the text of a flat element; the document is another host's, so no XML parser."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", xml[:20_000])
    return unescape(found.group(1)) if found else None
