"""The deployed API as a browser or a program meets it, with a real gallery and fleet."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
import psycopg
import pytest
from botocore.exceptions import ClientError
from psycopg import sql

from faces.contracts.errors import ErrorCode, Problem
from faces.contracts.ids import new_id
from faces.contracts.names import StackNames, upload_key
from faces.contracts.people import Person, PersonDeleted, PersonPage
from faces.contracts.results import Enrolment
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from faces.gallery.vectors import UnmatchedFace
from local_stack.deploy import deploy_app, deploy_infra
from local_stack.ec2 import ec2_service
from local_stack.emulator import emulator_service, endpoint, root_session
from local_stack.postgres import ROLE, PostgresService
from local_stack.settings import free_ports
from tests.fixtures.gallery import vector
from tests.unit.chalice_app.fakes import notification

T = TypeVar("T")
pytestmark = pytest.mark.timeout(600)
NAMES = StackNames("faces-api-test")
KEY = "a key for tests"


@dataclass(frozen=True)
class Deployed:
    """The deployed stack, its gallery, and a client of it."""

    endpoint_url: str
    ec2_endpoint_url: str
    gallery: Gallery
    api: str = ""

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = KEY, **headers: str
    ) -> httpx.Response:
        if key is not None:
            headers["X-Api-Key"] = key
        return httpx.request(method, self.api + path, json=body, headers=headers, timeout=30)

    def client(self, service: Any) -> Any:
        return root_session().client(service, endpoint_url=self.endpoint_url)

    def queue_url(self, queue: str) -> str:
        return str(self.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"])

    def send(self, queue: str, *bodies: str) -> None:
        client, url = self.client("sqs"), self.queue_url(queue)
        for body in bodies:
            client.send_message(QueueUrl=url, MessageBody=body)

    def stored(self, key: str) -> bytes | None:
        try:
            found = self.client("s3").get_object(Bucket=NAMES.out_bucket, Key=key)
        except ClientError:
            return None
        return bytes(found["Body"].read())

    def scale(self, ticks: int) -> Any:
        name = f"{NAMES.stack}-local-scale"
        payload = json.dumps({"ticks": ticks}).encode()
        answer = self.client("lambda").invoke(FunctionName=name, Payload=payload)
        assert "FunctionError" not in answer, answer["Payload"].read()
        return json.loads(answer["Payload"].read())

    def workers(self) -> dict[str, dict[str, str]]:
        """Return the tags of the workers that run or boot, by instance."""
        client = root_session().client("ec2", endpoint_url=self.ec2_endpoint_url)
        states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        return {
            instance["InstanceId"]: {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
            for reservation in client.describe_instances(Filters=states)["Reservations"]  # type: ignore[arg-type]
            for instance in reservation["Instances"]
        }


@pytest.fixture(scope="module")
def database(postgres_server: PostgresService, gallery_template: str) -> Iterator[str]:
    """URL of a database for the whole module."""
    name = "test_api_deployed"
    create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as admin:
        admin.execute(
            create.format(
                sql.Identifier(name), sql.Identifier(ROLE), sql.Identifier(gallery_template)
            )
        )
    yield postgres_server.url.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("api")
    port, ec2_port = free_ports(2)
    ec2 = ec2_service(ec2_port, folder / "ec2.log")
    emulator = emulator_service(port, endpoint(ec2_port), folder, folder / "emulator.log")
    connections = KeptConnection(database)
    try:
        ec2.start()
        emulator.start()
        made = Deployed(endpoint(port), endpoint(ec2_port), Gallery(connections))
        deploy_infra(
            endpoint_url=made.endpoint_url,
            ec2_endpoint_url=made.ec2_endpoint_url,
            stack=NAMES.stack,
            parameters={"WorkerImageId": "ami-03cf127a"},
        )
        api = deploy_app(
            endpoint_url=made.endpoint_url,
            stack=NAMES.stack,
            stage="local",
            state_dir=folder,
            environment={
                "DATABASE_URL": database,
                "FACES_API_KEY_SHA256": hashlib.sha256(KEY.encode()).hexdigest(),
                "FACES_ID_SECRET": "thirty-two characters and some more",
                "SCALER_MIN_RUNTIME_SECONDS": "0",
                "SCALER_TICK_SECONDS": "0.1",
                "SCALER_QUIET_SECONDS": "0.3",
            },
        )
        events = made.client("events")
        for rule in events.list_rules()["Rules"]:
            events.disable_rule(Name=rule["Name"])
        yield replace(made, api=api)
    finally:
        connections.close()
        emulator.stop()
        ec2.stop()


def problem(answer: httpx.Response, code: ErrorCode) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(answer.content)
    assert (found.code, found.status) == (code, answer.status_code)
    assert found.request_id == answer.headers["x-request-id"]
    return found


def eventually(look: Callable[[], T], seconds: float = 30) -> T:
    """Return the first answer of `look` that is true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"still {seen} after {seconds} s"
        time.sleep(0.1)
    return seen


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v2/jobs", "/v1/jobs/a/b/c"])
def test_unknown_addresses_are_answered_with_a_problem(deployed: Deployed, path: str) -> None:
    problem(deployed.call("GET", path), ErrorCode.UNKNOWN_ROUTE)
    problem(deployed.call("POST", path, {}), ErrorCode.UNKNOWN_ROUTE)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/jobs", "GET, POST"),
        ("PUT", "/v1/people/x", "DELETE, GET, PATCH"),
        ("DELETE", "/", "GET, POST"),
    ],
)
def test_other_methods_are_answered_with_a_problem(
    deployed: Deployed, method: str, path: str, allowed: str
) -> None:
    answer = deployed.call(method, path)
    problem(answer, ErrorCode.METHOD_NOT_ALLOWED)
    assert answer.headers["allow"] == allowed


def test_errors_of_a_request(deployed: Deployed) -> None:
    problem(deployed.call("POST", "/v1/jobs", {}, key=None), ErrorCode.UNAUTHENTICATED)
    problem(deployed.call("POST", "/v1/jobs", {}, key="wrong"), ErrorCode.UNAUTHENTICATED)
    wrong = deployed.call("POST", "/v1/jobs", {"params": {"false_accept_rate": 2}})
    assert problem(wrong, ErrorCode.INVALID_REQUEST).field == "params.false_accept_rate"
    text = httpx.post(
        deployed.api + "/v1/jobs",
        content="{}",
        headers={"X-Api-Key": KEY, "Content-Type": "text/plain"},
        timeout=60,
    )
    problem(text, ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    problem(deployed.call("GET", f"/v1/jobs/{new_id()}"), ErrorCode.UNKNOWN_JOB)


def test_a_browser_may_call_from_another_origin(deployed: Deployed) -> None:
    asked = {
        "Origin": "https://example.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-api-key",
    }
    before = deployed.call("OPTIONS", "/v1/jobs", key=None, **asked)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == "*"
    assert "POST" in before.headers["access-control-allow-methods"]
    assert "X-Api-Key" in before.headers["access-control-allow-headers"]
    for answer in (
        deployed.call("POST", "/v1/jobs", {}),
        deployed.call("POST", "/v1/jobs", {}, key=None),
        deployed.call("GET", "/nothing"),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]


def test_the_clients_request_id_comes_back(deployed: Deployed) -> None:
    answer = deployed.call("GET", "/health", **{"X-Request-Id": "client-request-1"})
    assert answer.headers["x-request-id"] == "client-request-1"


def test_health_looks_deep(deployed: Deployed) -> None:
    answer = deployed.call("GET", "/health?deep=1", key=None)
    assert answer.status_code == 200, answer.text
    assert answer.json()["checks"] == {"database": "ok", "queue": "ok"}


def test_the_poll_address_of_a_job_works(deployed: Deployed) -> None:
    created = deployed.call("POST", "/v1/jobs", {}).json()
    path = created["poll_url"].split("/v1/", 1)[1]
    assert deployed.call("GET", f"/v1/{path}").json()["state"] == "awaiting_upload"


def unknown_face(deployed: Deployed, seed: int) -> str:
    """Remember an unknown face, as a worker does, and return its req_id."""
    face = UnmatchedFace(
        req_id=new_id(),
        tenant="default",
        collection="default",
        job_id=new_id(),
        embedding=vector(seed),
        model_tag="facenet-test/1",
        expires_at=datetime.now(UTC) + timedelta(minutes=5),
    )
    deployed.gallery.remember_unmatched([face])
    return face.req_id


def test_a_person_lives_from_an_unknown_face_to_the_end(deployed: Deployed) -> None:
    req_id = unknown_face(deployed, 1)
    ada = {"name": "Ada Lovelace", "birthdate": "1815-12-10", "email": "ada@example.com"}
    answer = deployed.call("POST", "/v1/people", {"req_id": req_id, **ada})
    assert answer.status_code == 201, answer.text
    made = Enrolment.model_validate_json(answer.content)
    assert made.name == "Ada Lovelace"
    again = deployed.call("POST", "/v1/people", {"req_id": req_id, "name": "Eve"})
    problem(again, ErrorCode.UNKNOWN_REQ_ID)

    second = {"req_id": unknown_face(deployed, 2), "person_id": made.person_id}
    assert deployed.call("POST", "/v1/people", second).status_code == 201
    found = Person.model_validate_json(deployed.call("GET", f"/v1/people/{made.person_id}").content)
    assert (found.name, found.email, found.faces) == ("Ada Lovelace", "ada@example.com", 2)

    twin = {"req_id": unknown_face(deployed, 3), "name": "Twin", "email": "ADA@example.com"}
    refused = problem(deployed.call("POST", "/v1/people", twin), ErrorCode.DUPLICATE_PERSON)
    assert refused.field == "email"

    page = PersonPage.model_validate_json(deployed.call("GET", "/v1/people?query=love").content)
    assert [person.person_id for person in page.people] == [made.person_id]
    gone = deployed.call("DELETE", f"/v1/people/{made.person_id}")
    assert PersonDeleted.model_validate_json(gone.content).faces == 2
    problem(deployed.call("GET", f"/v1/people/{made.person_id}"), ErrorCode.UNKNOWN_PERSON)
    problem(deployed.call("DELETE", f"/v1/people/{made.person_id}"), ErrorCode.UNKNOWN_PERSON)


@pytest.mark.parametrize("person_id", ["x", "%00", "' OR 1=1", "é"])
def test_ids_that_are_none(deployed: Deployed, person_id: str) -> None:
    problem(deployed.call("GET", f"/v1/people/{person_id}"), ErrorCode.UNKNOWN_PERSON)


def test_an_upload_that_was_given_up_is_kept_and_answered(deployed: Deployed) -> None:
    job_id = deployed.call("POST", "/v1/jobs", {}).json()["job_id"]
    body = notification(upload_key(job_id), bucket=NAMES.in_bucket)
    deployed.send(NAMES.uploads_dlq, body, "what is this?")
    view = eventually(
        lambda: (
            (seen := deployed.call("GET", f"/v1/jobs/{job_id}").json())["state"] == "failed"
            and seen
        )
    )
    assert view["error"]["code"] == "worker_gave_up"
    kept = json.loads(deployed.stored(f"dead-letters/{job_id}.json") or b"")
    assert (kept["body"], kept["queue"]) == (body, NAMES.uploads_dlq)

    def unreadable() -> list[str]:
        listed = deployed.client("s3").list_objects_v2(
            Bucket=NAMES.out_bucket, Prefix="dead-letters/message-"
        )
        return [found["Key"] for found in listed.get("Contents", [])]

    (key,) = eventually(unreadable)
    assert json.loads(deployed.stored(key) or b"")["body"] == "what is this?"


def test_the_fleet_follows_the_backlog(deployed: Deployed) -> None:
    deployed.send(NAMES.req_queue, *(["{}"] * 12))
    assert deployed.scale(1) == {"ticks": 1}
    workers = deployed.workers()
    assert sorted(tags["Name"] for tags in workers.values()) == [
        f"app-tier-instance-{number}" for number in (1, 2, 3)
    ]
    for tags in workers.values():
        assert (tags["faces:stack"], tags["faces:role"]) == (NAMES.stack, "worker")
    deployed.scale(3)
    assert set(deployed.workers()) == set(workers)

    deployed.client("sqs").purge_queue(QueueUrl=deployed.queue_url(NAMES.req_queue))
    deployed.scale(8)
    claimed = deployed.workers()
    assert set(claimed) == set(workers)
    assert all("faces:drain" in tags for tags in claimed.values())

    # No worker runs here to say that nothing is in its hands.
    root_session().client("ec2", endpoint_url=deployed.ec2_endpoint_url).create_tags(
        Resources=list(claimed), Tags=[{"Key": "faces:drained", "Value": "1"}]
    )
    deployed.scale(4)
    assert deployed.workers() == {}
