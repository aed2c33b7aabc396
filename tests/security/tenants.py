"""A tenant with one of everything, and a request for each operation of the API."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalice_app.api import OPERATIONS
from chalice_app.dead_letters import REASON_WORKER, DeadLetters, job_of_request
from chalice_app.intake import job_message
from chalice_app.registry import Operation
from faces.contracts.jobs import JobRequest
from faces.contracts.keys import NewKey, Scope
from faces.contracts.names import upload_key
from faces.gallery.records import NewPerson
from tests.fixtures.gallery import enroll, unmatched, vector
from tests.unit.chalice_app.fakes import FakeContext, photo, received
from tests.unit.chalice_app.gateway import Answer, call

COLLECTION = "office"


class NoOperations:
    """Stands for what looks at queues and fleet, which belong to no tenant."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a tenant looked at {name}")


@dataclass(frozen=True)
class Tenant:
    """Keys and ids of one tenant.

    Attributes
    ----------
    secret : stands in every text that the tenant gave.
    ids : of one of each, by the name of the parameter in paths.
    people : as exported.
    """

    name: str
    key: str
    secret: str
    ids: dict[str, str]
    req_id: str
    other_person: str
    people: list[Any]

    @classmethod
    def make(cls, context: FakeContext, name: str, seed: int) -> "Tenant":
        """Fill a tenant."""
        secret = f"secret of {name}"
        keys = context.keys
        made = keys.create(name, NewKey(name=secret, scopes=(Scope.ADMIN,)), actor="root")
        gallery = context.gallery
        call("POST", "/v1/collections", {"collection": COLLECTION}, key=made.key)
        place = {"tenant": name, "collection": COLLECTION}
        job_id = context.upload(
            photo(), JobRequest(tenant=name, collection=COLLECTION, file_name=secret)
        )
        person = enroll(gallery, NewPerson(name=secret), vector(seed), job_id=job_id, **place)
        other = enroll(gallery, NewPerson(name=secret), vector(seed + 100), **place)
        unknown = unmatched(
            vector(seed + 200), expires_at=context.clock() + timedelta(days=1), **place
        )
        gallery.remember_unmatched([unknown])
        DeadLetters(
            "req-dlq", REASON_WORKER, job_of_request, objects=context.objects,
            results=context.results, names=context.settings.names, clock=context.clock,
        ).handle(received(job_message(job_id, upload_key(job_id), 5)))  # fmt: skip
        batch = call("POST", "/v1/batches", {"photos": [{"file_name": secret}]}, key=made.key).json
        ids = {
            "job_id": job_id,
            "batch_id": batch["batch_id"],
            "person_id": person.person_id,
            "face_id": person.face_id,
            "key_id": made.key_id,
            "collection": COLLECTION,
        }
        export = call("GET", f"/v1/collections/{COLLECTION}/export", key=made.key).json
        return cls(name, made.key, secret, ids, unknown.req_id, other.person_id, export["people"])

    def body(self, operation: Operation) -> dict[str, Any] | None:
        """Return a body that names what is this tenant's."""
        person = {"person_id": self.ids["person_id"]}
        here = {"collection": COLLECTION}
        bodies: dict[str, dict[str, Any]] = {
            "create_job": {**here, "kind": "verify", "params": person, "file_name": "a.jpg"},
            "create_batch": {**here, "photos": [{"file_name": "a.jpg"}]},
            "enroll_person": {**here, "name": "x", "req_id": self.req_id},
            "update_person": {"name": "changed", "email": "a@example.org"},
            "merge_people": {"merge": self.other_person},
            "add_face": {"req_id": self.req_id},
            "move_face": person,
            "create_collection": {"collection": "new-one"},
            "change_collection": {"false_accept_rate": 0.001},
            "import_collection": {"people": self.people},
            "create_key": {"name": "n", "scopes": ["read"]},
        }
        return bodies.get(operation.name)


@dataclass(frozen=True)
class World:
    """Who is attacked, and who attacks."""

    context: FakeContext
    victim: Tenant
    attacker: Tenant

    def holdings(self) -> str:
        """Return all that the victim has, as text."""
        pages = [
            f"/v1/people?collection={COLLECTION}",
            f"/v1/people/{self.victim.ids['person_id']}/faces?collection={COLLECTION}",
            f"/v1/collections/{COLLECTION}",
            "/v1/collections",
            "/v1/keys",
            "/v1/dead-letters",
            "/v1/audit",
            f"/v1/jobs/{self.victim.ids['job_id']}",
        ]
        answers = [call("GET", page, key=self.victim.key) for page in pages]
        assert {answer.status for answer in answers} == {200}
        stored = {
            key: body.decode("latin-1")
            for (_, key), (body, _) in sorted(self.context.objects.stored.items())
            if any(each in key for each in (self.victim.ids["job_id"], "dead-letters"))
        }
        return json.dumps([[answer.json for answer in answers], stored])


def protected() -> Iterator[Operation]:
    """Yield every operation that needs a key."""
    return (each for each in OPERATIONS if each.scopes is not None)


def ask(operation: Operation, of: Tenant, key: str | None, body: Any = None) -> Answer:
    """Call an operation with ids, and a body, of one tenant."""
    path = operation.path
    for name in operation.path_values:
        path = path.replace(f"{{{name}}}", of.ids[name])
    if operation.query is not None and "collection" in operation.query.model_fields:
        path += f"?collection={COLLECTION}"
    return call(operation.method, path, body or of.body(operation), key=key)
