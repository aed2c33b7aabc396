"""A tenant finds nothing of another's, by any operation there is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from chalice_app import dependencies
from chalice_app.api import OPERATIONS
from chalice_app.dead_letters import REASON_WORKER, DeadLetters, job_of_request
from chalice_app.intake import job_message
from chalice_app.registry import Operation
from faces.contracts.errors import CATALOGUE, ErrorCode
from faces.contracts.jobs import JobRequest
from faces.contracts.keys import Scope
from faces.contracts.names import upload_key
from faces.contracts.results import JobResult
from faces.gallery.database import KeptConnection
from faces.gallery.vectors import UnmatchedFace
from tests.fixtures.api import api_on
from tests.fixtures.gallery import unmatched, vector
from tests.unit.chalice_app.fakes import FakeContext, photo, received
from tests.unit.chalice_app.gateway import Answer, call

# Both have a collection of this name; everything else is the owner's alone.
SHARED = "default"
SECRET_NAME = "Wilhelmina Secret"
_numbers = count(1)


@dataclass
class Theirs:
    """What the owner has, and all ids by which it could be asked for."""

    tenant: str
    collection: str = "their-office"
    person_id: str = ""
    second_id: str = ""
    face_id: str = ""
    req_id: str = ""
    job_id: str = ""
    dead_id: str = ""
    batch_id: str = ""
    batch_jobs: list[str] = field(default_factory=list)
    key_id: str = ""

    @property
    def secrets(self) -> set[str]:
        """Texts that no answer to somebody else may hold unless they were sent with the request."""
        ids = {self.person_id, self.second_id, self.face_id, self.req_id, self.job_id}
        return ids | {
            self.dead_id,
            self.batch_id,
            self.key_id,
            *self.batch_jobs,
            self.collection,
            SECRET_NAME,
        }


class World:
    """The API on a real database, with one tenant's things and another tenant's key."""

    def __init__(self, context: FakeContext, url: str) -> None:
        self.context = context
        self.gallery = context.gallery
        self.connections = KeptConnection(url)

    def fill(self) -> None:
        """Make two new tenants, one of whom has something."""
        number = next(_numbers)
        self.owner_name = f"acme-{number}"
        self.owner_key = self._key(self.owner_name)
        theirs = self.theirs = Theirs(self.owner_name)
        for collection in (SHARED, theirs.collection):
            self.owner("POST", "/v1/collections", {"collection": collection})
        self.new_other()
        people = [self._enrol(seed, f"{SECRET_NAME} {seed}") for seed in (1, 2)]
        theirs.person_id, theirs.second_id = (each["person_id"] for each in people)
        theirs.face_id = people[0]["face_id"]
        theirs.req_id = self._unknown(3)
        theirs.key_id = self.owner("POST", "/v1/keys", {"name": "K", "scopes": ["read"]}).json[
            "key_id"
        ]
        theirs.job_id = self._job()
        theirs.dead_id = self._dead_letter()
        batch = self.owner("POST", "/v1/batches", {"photos": [{}, {}]}).json
        theirs.batch_id = batch["batch_id"]
        theirs.batch_jobs = [job["job_id"] for job in batch["jobs"]]

    def new_other(self) -> None:
        """Have another tenant be the one who reaches for the owner's things."""
        self.other_key = self._key(f"rival-{next(_numbers)}")
        self.other("POST", "/v1/collections", {"collection": SHARED})

    def _key(self, tenant: str) -> str:
        made = call("POST", "/v1/keys", {"name": "All", "scopes": ["admin"], "tenant": tenant})
        assert made.status == 201, made.body
        return str(made.json["key"])

    def owner(self, method: str, path: str, body: Any = None) -> Answer:
        answer = call(method, path, body, key=self.owner_key)
        assert answer.status < 300, answer.body
        return answer

    def other(self, method: str, path: str, body: Any = None) -> Answer:
        return call(method, path, body, key=self.other_key)

    def _unknown(self, seed: int) -> str:
        face = unmatched(vector(seed), tenant=self.owner_name, collection=SHARED)
        values = {name: getattr(face, name) for name in UnmatchedFace.__slots__}
        values["expires_at"] = self.context.clock() + timedelta(minutes=10)
        self.gallery.remember_unmatched([UnmatchedFace(**values)])
        return face.req_id

    def _enrol(self, seed: int, name: str) -> Any:
        body = {"req_id": self._unknown(seed), "name": name}
        return self.owner("POST", "/v1/people", body).json

    def _job(self) -> str:
        """A job with its photo and its result."""
        request = JobRequest(tenant=self.owner_name)
        job_id = self.context.upload(photo(), request)
        done = JobResult(
            job_id=job_id,
            kind="identify",
            tenant=self.owner_name,
            collection=SHARED,
            file_name=f"{SECRET_NAME}.jpg",
            state="succeeded",
            code_version="1",
            submitted_at=self.context.clock(),
            finished_at=self.context.clock(),
        )
        self.context.results.end(done, request)
        return job_id

    def _dead_letter(self) -> str:
        """A job that no worker finished."""
        context = self.context
        job_id = context.upload(photo(), JobRequest(tenant=self.owner_name))
        letters = DeadLetters(
            context.settings.names.req_dlq,
            REASON_WORKER,
            job_of_request,
            objects=context.objects,
            results=context.results,
            names=context.settings.names,
            clock=context.clock,
        )
        letters.handle(received(job_message(job_id, upload_key(job_id), 1)))
        return job_id

    def state(self) -> Any:
        """All that the owner has, as the owner is told of it."""
        asked = (
            "/v1/collections",
            "/v1/people",
            f"/v1/people/{self.theirs.person_id}/faces",
            "/v1/collections/default/export",
            "/v1/keys",
            f"/v1/jobs/{self.theirs.job_id}",
            f"/v1/batches/{self.theirs.batch_id}",
        )
        told = [self.owner("GET", path).json for path in asked]
        with self.connections() as connection:
            kept = connection.execute("SELECT count(*) FROM unmatched_faces").fetchall()
        return told, kept, sorted(self.context.objects.stored)


@pytest.fixture(scope="module")
def shared(shared_database_url: str) -> Iterator[World]:
    """One world for all tests that leave it as it is, as they check themselves."""
    with api_on(shared_database_url) as context:
        made = World(context, shared_database_url)
        made.fill()
        yield made
        made.connections.close()


@pytest.fixture
def untouched(shared: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(dependencies, "context", lambda: shared.context)
    shared.new_other()
    return shared


@pytest.fixture
def world(shared_database_url: str) -> Iterator[World]:
    """A world for one test, to do with as it likes."""
    with api_on(shared_database_url) as context:
        made = World(context, shared_database_url)
        made.fill()
        yield made
        made.connections.close()


UNKNOWN_PERSON, UNKNOWN_FACE = ErrorCode.UNKNOWN_PERSON, ErrorCode.UNKNOWN_FACE
# Query and body by which the other tenant reaches for the owner's things, and what the answer
# is: an error, or None for an answer that holds the other's own things only.
Reach = Callable[[Theirs], tuple[dict[str, str], Any]]
REACHES: dict[str, tuple[Reach, ErrorCode | None]] = {
    "create_job": (lambda t: ({}, {"params": {"person_id": t.person_id}}), None),
    "get_job": (lambda t: ({}, None), ErrorCode.UNKNOWN_JOB),
    "delete_job": (lambda t: ({}, None), ErrorCode.UNKNOWN_JOB),
    "list_jobs": (lambda t: ({"limit": "100"}, None), None),
    "create_batch": (lambda t: ({}, {"collection": t.collection, "photos": [{}]}), None),
    "get_batch": (lambda t: ({}, None), ErrorCode.UNKNOWN_BATCH),
    "enroll_person": (lambda t: ({}, {"req_id": t.req_id, "name": "X"}), ErrorCode.UNKNOWN_REQ_ID),
    "list_people": (lambda t: ({"query": "Secret"}, None), None),
    "get_person": (lambda t: ({}, None), UNKNOWN_PERSON),
    "update_person": (lambda t: ({}, {"name": "X"}), UNKNOWN_PERSON),
    "merge_people": (lambda t: ({}, {"merge": t.second_id}), UNKNOWN_PERSON),
    "delete_person": (lambda t: ({}, None), UNKNOWN_PERSON),
    "list_faces": (lambda t: ({}, None), UNKNOWN_PERSON),
    "add_face": (lambda t: ({}, {"req_id": t.req_id}), ErrorCode.UNKNOWN_REQ_ID),
    "move_face": (lambda t: ({}, {"person_id": t.second_id}), UNKNOWN_PERSON),
    "delete_face": (lambda t: ({}, None), UNKNOWN_FACE),
    # A name that the owner has is free for everybody else.
    "create_collection": (lambda t: ({}, {"collection": t.collection}), None),
    "list_collections": (lambda t: ({}, None), None),
    "get_collection": (lambda t: ({}, None), ErrorCode.UNKNOWN_COLLECTION),
    "change_collection": (lambda t: ({}, {"threshold": 0.1}), ErrorCode.UNKNOWN_COLLECTION),
    "delete_collection": (lambda t: ({}, None), ErrorCode.UNKNOWN_COLLECTION),
    "export_collection": (lambda t: ({}, None), ErrorCode.UNKNOWN_COLLECTION),
    "import_collection": (
        lambda t: ({}, {"people": [{"person_id": t.person_id, "name": "X"}]}),
        None,
    ),
    "create_key": (
        lambda t: ({}, {"name": "K", "scopes": ["read"], "tenant": t.tenant}),
        ErrorCode.FORBIDDEN,
    ),
    "list_keys": (lambda t: ({}, None), None),
    "revoke_key": (lambda t: ({}, None), ErrorCode.UNKNOWN_KEY),
    "list_audit": (lambda t: ({"limit": "1000"}, None), None),
    "list_dead_letters": (lambda t: ({"limit": "100"}, None), None),
    "redrive_dead_letter": (lambda t: ({}, None), ErrorCode.UNKNOWN_JOB),
    "get_webhook_key": (lambda t: ({}, None), None),
}
# Tells of the stack as a whole, and only to its own key.
STACK_WIDE = {"get_operations"}
KEYED = {
    operation.name: operation
    for operation in OPERATIONS
    if operation.scopes is not None and operation.name not in STACK_WIDE
}


def test_every_operation_is_tried() -> None:
    assert set(REACHES) == set(KEYED)


def address(operation: Operation, theirs: Theirs, query: dict[str, str]) -> str:
    path = operation.path
    for name in operation.path_values:
        held = "dead_id" if operation.name == "redrive_dead_letter" else name
        path = path.replace(f"{{{name}}}", getattr(theirs, held))
    if operation.query is not None and "collection" in operation.query.model_fields:
        query = {"collection": SHARED, **query}
    return path + "?" + "&".join(f"{name}={value}" for name, value in query.items())


@pytest.mark.parametrize("name", REACHES)
def test_another_tenant_finds_and_changes_nothing(untouched: World, name: str) -> None:
    world = untouched
    operation, (reach, expected) = KEYED[name], REACHES[name]
    query, body = reach(world.theirs)
    path = address(operation, world.theirs, query)
    before = world.state()

    answer = world.other(operation.method, path, body)

    sent = path + str(body)
    told = {secret for secret in world.theirs.secrets if secret in answer.body}
    assert {each for each in told if each not in sent} == set()
    if expected is not None:
        assert answer.json["code"] == expected
        assert answer.status == CATALOGUE[expected].status
    else:
        assert answer.status < 300, answer.body
    if name not in {"create_batch"}:  # its own batch is an object more
        assert world.state() == before


@pytest.mark.parametrize("name", REACHES)
def test_the_same_reach_is_the_owners_to_make(world: World, name: str) -> None:
    """So a typing error in the table cannot pass for isolation."""
    operation, (reach, _) = KEYED[name], REACHES[name]
    query, body = reach(world.theirs)
    answer = call(
        operation.method, address(operation, world.theirs, query), body, key=world.owner_key
    )
    if name == "create_collection":
        assert answer.json["code"] == ErrorCode.COLLECTION_EXISTS
    else:
        assert answer.status < 300, answer.body


def test_each_tenant_signs_callbacks_with_a_key_of_its_own(untouched: World) -> None:
    own = untouched.owner("GET", "/v1/webhook-key").json
    assert untouched.other("GET", "/v1/webhook-key").json["key"] != own["key"]


def test_an_imported_id_that_another_tenant_has_becomes_another(world: World) -> None:
    reach, _ = REACHES["import_collection"]
    _, body = reach(world.theirs)
    assert world.other("POST", "/v1/collections/mine/import", body).json["people"] == 1
    [person] = world.other("GET", "/v1/people?collection=mine").json["people"]
    assert person["person_id"] != world.theirs.person_id


@pytest.mark.parametrize("scope", Scope)
def test_a_key_of_one_scope_does_no_more_than_that(untouched: World, scope: Scope) -> None:
    made = untouched.owner("POST", "/v1/keys", {"name": scope, "scopes": [scope]}).json
    for operation in KEYED.values():
        assert operation.scopes is not None
        if scope in operation.scopes or scope is Scope.ADMIN:
            continue
        query, body = REACHES[operation.name][0](untouched.theirs)
        answer = call(
            operation.method, address(operation, untouched.theirs, query), body, key=made["key"]
        )
        assert answer.json["code"] == ErrorCode.FORBIDDEN, operation.name
