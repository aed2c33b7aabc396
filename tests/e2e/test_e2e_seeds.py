"""The addresses of the projects that this service follows, with their clients' habits."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image
from skimage import data

from faces.client import Client, Photo
from faces.contracts.ids import new_id
from faces.contracts.jobs import ContentType, JobKind, JobParams
from local_stack.stack import LocalStack
from tests.e2e.waiting import eventually

CLIENTS = 100
PEOPLE = 10
COLLECTION = "seeds"
# How long one client has patience. Each request ends within API Gateway's 29 s once it is let
# in; on two cores that others share it may queue for longer before the front door.
SECONDS = 180

pytestmark = pytest.mark.weights


def jpeg(image: Image.Image, quality: int = 95) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def small_face(path: Path) -> Image.Image:
    """Return the face of an LFW photo in 64 x 64 pixels."""
    face = Image.open(path).convert("RGB").crop((60, 55, 190, 185))
    return face.resize((64, 64), Image.Resampling.LANCZOS)


def post(stack: LocalStack, name: str, photo: bytes, path: str = "/") -> httpx.Response:
    """Send one photo on a connection of its own, with a part that has no Content-Type."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n'
        % (b"inputFile" if path.startswith("/?") or path == "/" else b"image", name.encode())
        + photo
        + b"\r\n--x--\r\n"
    )
    return httpx.post(
        stack.url + path,
        content=body,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        timeout=SECONDS,
        trust_env=False,
    )


def warm_up(client: Client, stack: LocalStack) -> None:
    """Have as many API processes as the front door lets in: starting one takes a core long."""
    opened = client.submit(Photo(b"", ContentType.JPEG))
    places = stack.settings.front_door_concurrency

    def hold(_: int) -> int:
        headers = {"X-Api-Key": stack.api_key}
        url = f"{opened.poll_url}?wait=10"
        return httpx.get(url, headers=headers, timeout=SECONDS, trust_env=False).status_code

    def warm() -> bool:
        with ThreadPoolExecutor(places) as pool:
            return set(pool.map(hold, range(places))) == {200}

    eventually(warm, f"{places} API processes run", SECONDS)


@pytest.mark.data
def test_a_hundred_clients_at_once_are_all_answered_rightly(
    client: Client, stack: LocalStack, test_data: Path
) -> None:
    folders = sorted((test_data / "lfw-dev" / "images").iterdir())[:PEOPLE]
    faces = {folder.name: small_face(sorted(folder.iterdir())[0]) for folder in folders}
    for name, face in faces.items():
        photo = Photo(jpeg(face), ContentType.JPEG, name)
        params = JobParams(person_name=name, force=True)
        client.run(photo, JobKind.ENROLL, COLLECTION, params)
    # All photos differ, so each is worked on; all names are the same.
    sent = [
        (name, jpeg(faces[name], 60 + number // PEOPLE))
        for number, name in enumerate(list(faces) * (CLIENTS // PEOPLE))
    ]
    assert len({photo for _, photo in sent}) == CLIENTS

    warm_up(client, stack)
    started = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda each: post(stack, "test_00.jpg", each[1]), sent))
    seconds = time.monotonic() - started

    assert [answer.status_code for answer in answers] == [200] * CLIENTS
    assert {answer.headers["content-type"].split(";")[0] for answer in answers} == {"text/plain"}
    assert [answer.text for answer in answers] == [f"test_00:{name}" for name, _ in sent]
    print(f"{CLIENTS} photos in {seconds:.1f} s")  # noqa: T201 - the figure of the run


def test_an_unknown_face_becomes_a_user(stack: LocalStack) -> None:
    astronaut = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]
    path = "/api/v1/recognise_user"
    first = post(stack, "a.jpg", jpeg(astronaut), path).json()
    assert (first["status"], first["message"]) == ("failure", "no_match")
    assert first["expiresAt"]
    user = {
        "name": "Eileen Collins",
        "birthdate": "1956-11-19",
        "email": "eileen@example.org",
        "req_id": first["req_id"],
    }

    def add(given: dict[str, str]) -> httpx.Response:
        return httpx.post(f"{stack.url}/api/v1/add_user", json=given, timeout=60, trust_env=False)

    added = add(user)
    assert added.status_code == 200, added.text
    assert added.json()["message"] == "User added successfully"
    assert add(user).status_code == 404, "the req_id was used"
    other = post(stack, "b.jpg", jpeg(astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), path)
    found = other.json()
    assert found["status"] == "success", found
    assert found["user_info"] == {
        "id": added.json()["user_id"],
        "name": "Eileen Collins",
        "email": "eileen@example.org",
    }
    again = add({**user, "req_id": new_id()})
    assert (again.status_code, again.json()["status"]) == (404, "error")


def test_nobody_is_unknown_and_no_photo_is_refused(stack: LocalStack) -> None:
    assert post(stack, "sky.jpg", jpeg(Image.new("RGB", (64, 64), "skyblue"))).text == "sky:Unknown"
    refused = post(stack, "x.jpg", b"no photo")
    assert (refused.status_code, refused.json()["code"]) == (400, "not_an_image")


def test_without_waiting_the_job_can_be_asked_for(client: Client, stack: LocalStack) -> None:
    answer = post(stack, "sky.jpg", jpeg(Image.new("RGB", (65, 64), "skyblue")), "/?wait=0")
    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["poll_url"]
    asked = httpx.get(
        answer.json()["poll_url"] + "?wait=20",
        headers={"X-Api-Key": stack.api_key},
        timeout=60,
        trust_env=False,
    )
    assert asked.json()["state"] == "succeeded"
