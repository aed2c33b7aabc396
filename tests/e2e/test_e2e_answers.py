"""What happens around an answer: waited for, repeated, called back, counted, deleted."""

import http.server
import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from skimage import data

from faces.client import Client, Photo
from faces.client.webhooks import verify_webhook
from faces.contracts.jobs import ContentType, JobCreated, JobKind, JobParams, JobState
from local_stack.stack import LocalStack
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.weights


def astronaut(quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.fixture
def api(stack: LocalStack) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=stack.url, headers={"X-Api-Key": stack.api_key}, timeout=60, trust_env=False
    ) as made:
        yield made


def test_a_waiting_request_is_woken(client: Client, api: httpx.Client) -> None:
    client.identify(astronaut(), collection="wait")  # the worker is warm
    created = client.send(astronaut(91), collection="wait")
    started = time.monotonic()
    answer = api.get(f"/v1/jobs/{created.job_id}", params={"wait": 20}).json()
    assert answer["state"] == "succeeded"
    assert time.monotonic() - started < 20


def test_a_photo_is_answered_again_until_the_gallery_changes(client: Client) -> None:
    photo, place = astronaut(), "repeat"
    enrolled = client.run(
        astronaut(80), JobKind.ENROLL, place, JobParams(person_name="Eileen")
    ).enrolment
    assert enrolled is not None
    first = client.identify(photo, collection=place)
    assert not first.cached
    again = eventually(
        lambda: next((r for r in [client.identify(photo, collection=place)] if r.cached), None),
        "the same photo is answered without a worker",
        30,
    )
    assert again.worker_id is None
    assert again.faces[0].match == first.faces[0].match
    assert not client.run(photo, JobKind.IDENTIFY, place, JobParams(cache=False)).cached

    client.delete_person(enrolled.person_id, collection=place)
    for _ in range(3):
        after = client.identify(photo, collection=place)
        assert all(face.match is None for face in after.faces)

    # The unknown face of a repeated answer can be enrolled like any other.
    repeated = eventually(
        lambda: next((r for r in [client.identify(photo, collection=place)] if r.cached), None),
        "the unknown face is answered without a worker",
        30,
    )
    req_id = repeated.faces[0].req_id
    assert req_id is not None
    client.enroll_req_id(req_id, "Eileen again", collection=place)
    known = client.identify(photo, collection=place)
    assert known.faces[0].match is not None
    assert known.faces[0].match.name == "Eileen again"


def test_a_deleted_job_leaves_nothing(client: Client, api: httpx.Client) -> None:
    created = client.send(astronaut(92), collection="delete")
    result = client.wait(created.job_id).result
    assert result is not None
    req_id = result.faces[0].req_id
    deleted = api.delete(f"/v1/jobs/{created.job_id}")
    assert deleted.json()["unmatched_faces"] == 1
    gone = api.get(f"/v1/jobs/{created.job_id}")
    assert (gone.status_code, gone.json()["code"]) == (410, "job_deleted")
    body = {"collection": "delete", "req_id": req_id, "name": "Ann"}
    assert api.post("/v1/people", json=body).json()["code"] == "unknown_req_id"
    assert not client.identify(astronaut(92), collection="delete").cached


def test_a_batch_counts_its_jobs(client: Client, api: httpx.Client) -> None:
    opened = api.post(
        "/v1/batches",
        json={
            "kind": "detect",
            "photos": [{"file_name": f"{number}.jpg"} for number in range(4)],
        },
    )
    assert opened.status_code == 201, opened.text
    photo = Photo(astronaut(), ContentType.JPEG)
    jobs = [JobCreated.model_validate(job) for job in opened.json()["jobs"]]
    for job in jobs[:2]:
        client.upload(job, photo)
    client.upload(jobs[2], Photo(b"no photo", ContentType.JPEG))

    def counts() -> dict[str, int] | None:
        view = api.get(f"/v1/batches/{opened.json()['batch_id']}").json()
        return view["counts"] if view["counts"]["queued"] == 0 else None

    found = eventually(
        lambda: (c := counts()) and c["awaiting_upload"] == 1 and c, "all uploads end", 60
    )
    assert found == {"awaiting_upload": 1, "queued": 0, "succeeded": 2, "failed": 1, "expired": 0}


def test_500_slots_are_opened_and_counted_fast(api: httpx.Client) -> None:
    started = time.monotonic()
    opened = api.post("/v1/batches", json={"photos": [{}] * 500})
    assert opened.status_code == 201
    view = api.get(f"/v1/batches/{opened.json()['batch_id']}").json()
    assert view["counts"]["awaiting_upload"] == view["total"] == 500
    assert time.monotonic() - started < 20


class Receiver(http.server.ThreadingHTTPServer):
    """Takes callbacks; refuses the first."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(503 if len(self.server.got) == 1 else 204)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_a_client_is_called_back(client: Client, api: httpx.Client, receiver: Receiver) -> None:
    address = f"http://127.0.0.1:{receiver.server_address[1]}/done"
    opened = api.post("/v1/jobs", json={"kind": "detect", "callback_url": address})
    assert opened.status_code == 201, opened.text
    created = JobCreated.model_validate(opened.json())
    client.upload(created, Photo(astronaut(), ContentType.JPEG))
    headers, body = eventually(
        lambda: receiver.got[1] if len(receiver.got) > 1 else None, "called back twice", 90
    )
    key = api.get("/v1/webhook-key").json()["key"]
    ended = verify_webhook(headers["Faces-Signature"], body, key)
    assert (ended.job_id, ended.state) == (created.job_id, JobState.SUCCEEDED)


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[::1]", "127.0.0.2"])
def test_nobody_inside_is_called_back(api: httpx.Client, host: str) -> None:
    refused = api.post("/v1/jobs", json={"kind": "detect", "callback_url": f"http://{host}/"})
    assert (refused.status_code, refused.json()["field"]) == (400, "callback_url")
