"""The main job through HTTP, S3, SQS, Lambda, an instance's worker and PostgreSQL."""

import io
import secrets

import httpx
import pytest
from PIL import Image

from faces.client import ApiError, Client, JobFailed, Photo, UploadRefused
from faces.contracts.errors import ErrorCode
from faces.contracts.ids import new_id
from faces.contracts.jobs import ContentType, JobCreated, JobState
from faces.contracts.results import Enrolment
from local_stack.demo import photos
from local_stack.stack import LocalStack

FIRST_SECONDS = 90
JPEG = b"\xff\xd8\xff\xe0"


def changed(created: JobCreated, **fields: str) -> JobCreated:
    """Return the job with other fields in its upload form."""
    form = created.upload.model_copy(update={"fields": {**created.upload.fields, **fields}})
    return created.model_copy(update={"upload": form})


@pytest.fixture
def collection() -> str:
    """The name of a collection that no other test uses."""
    return f"test-{secrets.token_hex(4)}"


def enroll_astronaut(client: Client, collection: str) -> Enrolment:
    """Return the enrolment of the unknown astronaut by the req_id of an answer."""
    (face,) = client.identify(
        photos.astronaut(), collection=collection, timeout=FIRST_SECONDS
    ).faces
    assert face.match is None
    assert face.req_id is not None
    return client.enroll_req_id(face.req_id, photos.ASTRONAUT, collection=collection)


def test_an_unknown_face_is_enrolled_by_its_req_id_and_then_recognised(
    client: Client, collection: str
) -> None:
    enrolment = enroll_astronaut(client, collection)
    assert enrolment.name == photos.ASTRONAUT

    for other in (photos.astronaut_mirrored(), photos.astronaut_cropped()):
        (face,) = client.identify(other, collection=collection).faces
        assert face.match is not None
        assert (face.match.person_id, face.match.name) == (enrolment.person_id, photos.ASTRONAUT)
        assert face.match.similarity >= face.match.threshold
        assert face.req_id is None


def test_a_face_is_where_it_is(client: Client, collection: str) -> None:
    result = client.identify(photos.astronaut(), collection=collection, timeout=FIRST_SECONDS)
    (face,) = result.faces
    assert result.photo is not None
    assert (result.photo.width, result.photo.height, result.photo.format) == (512, 512, "JPEG")
    assert face.box.left < 225 < face.box.right
    assert face.box.top < 115 < face.box.bottom
    eyes = (face.landmarks.left_eye, face.landmarks.right_eye)
    assert eyes[0].x < face.landmarks.nose.x < eyes[1].x
    assert max(eye.y for eye in eyes) < face.landmarks.nose.y < face.landmarks.mouth_left.y


def test_a_req_id_is_used_up_by_an_enrolment(client: Client, collection: str) -> None:
    (face,) = client.identify(photos.astronaut(), collection=collection).faces
    assert face.req_id is not None
    client.enroll_req_id(face.req_id, "Once", collection=collection)
    with pytest.raises(ApiError) as caught:
        client.enroll_req_id(face.req_id, "Twice", collection=collection)
    assert caught.value.code is ErrorCode.UNKNOWN_REQ_ID


def test_a_person_is_listed_and_once_deleted_unknown_again(client: Client, collection: str) -> None:
    enrolment = enroll_astronaut(client, collection)
    (person,) = client.people(collection=collection)
    assert (person.person_id, person.name, person.faces) == (
        enrolment.person_id,
        photos.ASTRONAUT,
        1,
    )

    assert client.delete_person(person.person_id, collection=collection).faces == 1

    assert list(client.people(collection=collection)) == []
    (face,) = client.identify(photos.astronaut_mirrored(), collection=collection).faces
    assert face.match is None


def test_collections_do_not_see_each_others_people(client: Client, collection: str) -> None:
    enroll_astronaut(client, collection)
    (here,) = client.identify(photos.astronaut(), collection=collection).faces
    (there,) = client.identify(photos.astronaut(), collection=f"{collection}-other").faces
    assert here.match is not None
    assert there.match is None
    assert there.candidates == ()


def test_a_photo_without_a_face_succeeds_with_no_faces(client: Client) -> None:
    result = client.identify(photos.coffee(), timeout=FIRST_SECONDS)
    assert (result.state, result.faces, result.error) == ("succeeded", (), None)


def damaged() -> bytes:
    return photos.astronaut()[:9000]


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (photos.no_photo(), ErrorCode.NOT_AN_IMAGE),
        (b"\x00" * 4096, ErrorCode.NOT_AN_IMAGE),
        (png(), ErrorCode.WRONG_CONTENT_TYPE),
        (JPEG + b"no more than a claim" * 40, ErrorCode.CORRUPT_IMAGE),
        (damaged(), ErrorCode.CORRUPT_IMAGE),
    ],
    ids=["words", "zeros", "png", "magic only", "cut off"],
)
def test_an_upload_that_only_claims_to_be_jpeg_ends_failed(
    client: Client, content: bytes, code: ErrorCode
) -> None:
    created = client.send(Photo(content, ContentType.JPEG, "claim.jpg"))
    view = client.wait(created.job_id, timeout=FIRST_SECONDS)
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.code is code
    assert view.error.message.endswith(".")


def test_another_content_type_is_refused_by_s3(client: Client) -> None:
    photo = Photo(photos.astronaut(), ContentType.JPEG)
    created = changed(client.submit(photo), **{"Content-Type": "image/gif"})
    with pytest.raises(UploadRefused) as caught:
        client.upload(created, photo)
    assert caught.value.status == 403
    assert caught.value.code == "AccessDenied"
    assert "content-type" in caught.value.reason.lower()
    assert client.job(created.job_id).state is JobState.AWAITING_UPLOAD


def test_changed_metadata_is_refused_by_s3(client: Client) -> None:
    photo = Photo(photos.astronaut(), ContentType.JPEG)
    created = changed(client.submit(photo), **{"x-amz-meta-tenant": "somebody-else"})
    with pytest.raises(UploadRefused) as caught:
        client.upload(created, photo)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("size", "code"), [(0, "EntityTooSmall"), (10 * 1024 * 1024 + 1, "EntityTooLarge")]
)
def test_a_file_outside_the_limits_is_refused_by_s3(client: Client, size: int, code: str) -> None:
    photo = Photo(JPEG.ljust(size, b"\0")[:size], ContentType.JPEG)
    created = client.submit(photo)
    with pytest.raises(UploadRefused) as caught:
        client.upload(created, photo)
    assert (caught.value.status, caught.value.code) == (400, code)


def test_an_unknown_job_is_a_404(client: Client) -> None:
    for job_id in (new_id(), "nonsense"):
        with pytest.raises(ApiError) as caught:
            client.job(job_id)
        assert (caught.value.status, caught.value.code) == (404, ErrorCode.UNKNOWN_JOB)


def test_a_job_without_a_photo_awaits_its_upload(client: Client) -> None:
    created = client.submit(Photo(b"", ContentType.PNG))
    assert client.job(created.job_id).state is JobState.AWAITING_UPLOAD


def test_without_the_key_nothing_is_answered(stack: LocalStack) -> None:
    for key in ("", "wrong"):
        headers = {"X-Api-Key": key} if key else {}
        answer = httpx.get(
            f"{stack.url}/v1/jobs/{new_id()}", headers=headers, timeout=60, trust_env=False
        )
        assert answer.status_code == 401
        assert answer.json()["code"] == ErrorCode.UNAUTHENTICATED


def test_health_needs_no_key(stack: LocalStack) -> None:
    with Client(stack.url, "none") as anybody:
        assert anybody.health()["status"] == "ok"


def test_a_wrong_field_is_named(stack: LocalStack) -> None:
    answer = httpx.post(
        f"{stack.url}/v1/jobs",
        json={"kind": "guess"},
        headers={"X-Api-Key": stack.api_key},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["field"] == "kind"


def test_a_failed_enrolment_says_why(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        client.enroll_req_id(new_id(), "Nobody")
    assert caught.value.code is ErrorCode.UNKNOWN_REQ_ID


def test_identify_raises_what_the_job_says(client: Client) -> None:
    with pytest.raises(JobFailed) as caught:
        client.identify(photos.no_photo())
    assert caught.value.code is ErrorCode.NOT_AN_IMAGE
