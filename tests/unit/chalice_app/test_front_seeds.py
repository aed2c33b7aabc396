"""The addresses that need no key: photo and answer in one request."""

from datetime import date, timedelta
from typing import Any

import pytest

from chalice_app import dependencies
from chalice_app.seeds import recognition
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from faces.contracts.jobs import ContentType, JobKind, JobRequest
from faces.contracts.names import UPLOAD_PREFIX, upload_key
from faces.contracts.people import Person
from faces.contracts.results import (
    Box,
    DetectedFace,
    Enrolment,
    FaceQuality,
    JobResult,
    Landmarks,
    Match,
    Point,
    PoorReason,
    Pose,
)
from faces.gallery.enrolment import Guard
from tests.unit.chalice_app.fakes import NOW, STACK, FakeContext, make_settings, photo
from tests.unit.chalice_app.gateway import Answer, call

IN = f"{STACK}-in-bucket"
ANN = new_id()
AT = Point(x=1, y=1)
UNKNOWN = DetectedFace(
    box=Box(left=0, top=0, right=9, bottom=9),
    landmarks=Landmarks(left_eye=AT, right_eye=AT, nose=AT, mouth_left=AT, mouth_right=AT),
    confidence=1,
    quality=FaceQuality(sharpness=5, brightness=5, pose=Pose(roll=0, yaw=0, pitch=0), size_px=9),
    req_id=new_id(),
    req_id_expires_at=NOW + timedelta(minutes=10),
)
KNOWN = UNKNOWN.model_copy(
    update={
        "req_id": None,
        "req_id_expires_at": None,
        "match": Match(person_id=ANN, name="Ann", similarity=0.9, face_id=new_id(), threshold=0.6),
    }
)
UNCERTAIN = UNKNOWN.model_copy(
    update={"quality": UNKNOWN.quality.model_copy(update={"reasons": (PoorReason.LOW_CONFIDENCE,)})}
)


class Gallery:
    """People, of whom one can be read and others made."""

    def __init__(self) -> None:
        self.enrolled: list[dict[str, Any]] = []
        self.error: FacesError | None = None

    def get_person(self, tenant: str, collection: str, person_id: str) -> Person:
        assert (tenant, collection, person_id) == ("acme", "office", ANN)
        if self.error is not None:
            raise self.error
        return Person(person_id=ANN, name="Ann", email="ann@x.org", faces=1, created_at=NOW)

    def enroll_unmatched(self, **given: Any) -> Enrolment:
        if self.error is not None:
            raise self.error
        self.enrolled.append(given)
        return Enrolment(person_id=ANN, face_id=new_id(), name=given["person"].name)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    made = FakeContext(
        settings=make_settings(FACES_SEED_SCOPE="acme/office", FACES_MAX_UPLOAD_BYTES="5000"),
        gallery=Gallery(),
    )
    monkeypatch.setattr(dependencies, "context", lambda: made)
    return made


def form(name: str, file_name: str, data: bytes) -> bytes:
    """Return a form with a file, whose part has no Content-Type."""
    head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n\r\n'
    return head.encode() + data + b"\r\n--xyz--\r\n"


def send(path: str, body: bytes) -> Answer:
    headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
    return call("POST", path, body, key=None, headers=headers)


def job_of(context: FakeContext) -> str:
    (key,) = context.objects.keys(IN)
    return key.removeprefix(UPLOAD_PREFIX)


def worker(context: FakeContext, *faces: DetectedFace, error: ErrorCode | None = None) -> None:
    """Have a worker answer while the request waits."""

    def work(_seconds: float) -> None:
        job_id = job_of(context)
        result = JobResult(
            job_id=job_id,
            kind="identify",
            tenant="acme",
            collection="office",
            state="failed" if error else "succeeded",
            error=FacesError(error).info() if error else None,
            faces=faces,
            code_version="1",
            submitted_at=NOW,
            finished_at=NOW,
        )
        context.cache.keep_result(job_id, result.model_dump_json().encode())

    context.cache.while_waiting = work


class Late:
    """A clock for waiting that has run out when it is looked at again."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 15
        return self.now


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch, context: FakeContext) -> None:
    clock = Late()
    answer_of = recognition.answer_of
    monkeypatch.setattr(
        recognition,
        "answer_of",
        lambda context, submission, seconds: answer_of(context, submission, seconds, clock),
    )


def test_a_known_face_is_named(context: FakeContext) -> None:
    worker(context, KNOWN)
    answer = send("/", form("inputFile", "test_00.jpg", photo()))
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body == "test_00:Ann"


@pytest.mark.parametrize(
    ("file_name", "stem"),
    [("a.b.jpg", "a.b"), ("C:\\\\x\\\\a.jpg", "a"), ("noextension", "noextension"), ("", "")],
)
def test_the_stem_of_the_file_name_comes_back(
    context: FakeContext, file_name: str, stem: str
) -> None:
    worker(context, KNOWN)
    assert send("/", form("inputFile", file_name, photo())).body == f"{stem}:Ann"


@pytest.mark.parametrize("faces", [(), (UNKNOWN,)])
def test_nobody_known_is_unknown(context: FakeContext, faces: tuple[DetectedFace, ...]) -> None:
    worker(context, *faces)
    assert send("/", form("inputFile", "a.jpg", photo())).body == "a:Unknown"


def test_the_photo_takes_the_way_of_every_upload(context: FakeContext) -> None:
    worker(context, KNOWN)
    data = photo("PNG")
    send("/", form("inputFile", "a.jpg", data))
    stored, info = context.objects.stored[IN, upload_key(job_of(context))]
    assert stored == data
    request = JobRequest.from_metadata(dict(info.metadata))
    assert (request.kind, request.tenant, request.collection) == (
        JobKind.IDENTIFY,
        "acme",
        "office",
    )
    assert request.content_type is ContentType.PNG, "what the file is, not what it is called"
    assert request.file_name == "a.jpg"


def test_a_name_that_does_not_fit_into_metadata_still_comes_back(context: FakeContext) -> None:
    worker(context, KNOWN)
    name = "\N{GRINNING FACE}" * 200
    assert send("/", form("inputFile", f"{name}.jpg", photo())).body == f"{name}:Ann"
    _, info = context.objects.stored[IN, upload_key(job_of(context))]
    assert JobRequest.from_metadata(dict(info.metadata)).file_name is None


def test_time_is_up(context: FakeContext, late: None) -> None:
    answer = send("/", form("inputFile", "a.jpg", photo()))
    assert answer.status == 504
    assert job_of(context) in answer.json["detail"]
    assert answer.json["code"] == "job_unfinished"


def test_without_waiting_the_address_of_the_job_is_answered(context: FakeContext) -> None:
    answer = send("/?wait=0", form("inputFile", "a.jpg", photo()))
    assert answer.status == 202
    job_id = job_of(context)
    assert answer.json == {
        "job_id": job_id,
        "poll_url": f"https://api.test/api/v1/jobs/{job_id}",
    }
    assert answer.headers["location"] == answer.json["poll_url"]
    assert not context.cache.waits


@pytest.mark.parametrize("path", ["/", "/api/v1/recognise_user", "/api/v1/add_user"])
def test_off_unless_it_is_set_up(context: FakeContext, path: str) -> None:
    context.settings = make_settings()
    body = form("inputFile", "a.jpg", photo())
    if path == "/api/v1/recognise_user":
        body = form("image", "a.jpg", photo())
    adding = path == "/api/v1/add_user"
    answer = call("POST", path, USER, key=None) if adding else send(path, body)
    assert answer.status == 404
    assert not context.objects.keys(IN)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form("inputFile", "a.jpg", b""), ErrorCode.UPLOAD_EMPTY),
        (form("inputFile", "a.jpg", b"hello, world"), ErrorCode.NOT_AN_IMAGE),
        (form("inputFile", "a.jpg", b"GIF89a" + b"x" * 50), ErrorCode.UNSUPPORTED_IMAGE),
        (form("inputFile", "a.jpg", b"x" * 5001), ErrorCode.UPLOAD_TOO_LARGE),
        (form("other", "a.jpg", photo()), ErrorCode.INVALID_REQUEST),
        (b"--xyz--\r\n", ErrorCode.INVALID_REQUEST),
        (b"no form", ErrorCode.INVALID_REQUEST),
    ],
)
def test_bad_photos_are_refused_before_they_are_stored(
    context: FakeContext, body: bytes, code: ErrorCode
) -> None:
    answer = send("/", body)
    assert answer.status == answer.json["status"] == 400
    assert answer.json["code"] == code
    assert not context.objects.keys(IN)


def test_a_body_that_is_no_form(context: FakeContext) -> None:
    answer = call("POST", "/", {"inputFile": "a"}, key=None)
    assert (answer.status, answer.json["code"]) == (400, "unsupported_media_type")


def test_recognise_user_finds_somebody(context: FakeContext) -> None:
    worker(context, KNOWN)
    answer = send("/api/v1/recognise_user", form("image", "a.jpg", photo()))
    assert answer.status == 200
    metadata = answer.json["metadata"]
    assert metadata["similarity"] == 0.9
    assert metadata["job_id"] == job_of(context)
    assert {key: value for key, value in answer.json.items() if key != "metadata"} == {
        "status": "success",
        "message": "Match found",
        "user_info": {"id": ANN, "name": "Ann", "email": "ann@x.org"},
    }


def test_who_was_deleted_while_the_request_waited_is_nobody(context: FakeContext) -> None:
    worker(context, KNOWN)
    context.gallery.error = FacesError(ErrorCode.UNKNOWN_PERSON)
    answer = send("/api/v1/recognise_user", form("image", "a.jpg", photo()))
    assert (answer.status, answer.json["message"]) == (200, "no_match")
    assert "user_info" not in answer.json
    assert "Ann" not in answer.body


def test_recognise_user_finds_nobody(context: FakeContext) -> None:
    worker(context, UNKNOWN)
    answer = send("/api/v1/recognise_user", form("image", "a.jpg", photo()))
    assert answer.status == 200
    assert answer.json["status"] == "failure"
    assert answer.json["message"] == "no_match"
    assert answer.json["req_id"] == UNKNOWN.req_id
    assert answer.json["expiresAt"].startswith("2026-01-02T03:14:05")
    assert answer.json["metadata"]["job_id"] == job_of(context)


@pytest.mark.parametrize(
    ("faces", "error", "code"),
    [
        ((), None, "no_face"),
        ((UNCERTAIN,), None, "poor_face"),
        ((), ErrorCode.CORRUPT_IMAGE, "corrupt_image"),
    ],
)
def test_what_recognise_user_cannot_answer(
    context: FakeContext,
    faces: tuple[DetectedFace, ...],
    error: ErrorCode | None,
    code: str,
) -> None:
    worker(context, *faces, error=error)
    answer = send("/api/v1/recognise_user", form("image", "a.jpg", photo()))
    assert answer.status == 400
    assert answer.json["status"] == "error"
    assert answer.json["error_code"] == code
    assert answer.json["message"]
    assert answer.json["requestId"] == answer.headers["x-request-id"]


def test_recognise_user_is_late(context: FakeContext, late: None) -> None:
    answer = send("/api/v1/recognise_user", form("image", "a.jpg", photo()))
    assert (answer.status, answer.json["error_code"]) == (504, "job_unfinished")
    assert job_of(context) in answer.json["message"]


USER = {"name": "Ann", "birthdate": "1990-02-03", "email": "ann@x.org", "req_id": new_id()}


def test_add_user_by_json(context: FakeContext) -> None:
    answer = call("POST", "/api/v1/add_user", USER, key=None)
    assert answer.status == 200
    assert answer.json == {
        "status": "success",
        "message": "User added successfully",
        "user_id": ANN,
    }
    (given,) = context.gallery.enrolled
    assert (given["tenant"], given["collection"]) == ("acme", "office")
    assert given["req_id"] == USER["req_id"]
    assert given["person"].name == "Ann"
    assert given["person"].birthdate == date(1990, 2, 3)
    assert given["person"].email == "ann@x.org"


@pytest.mark.parametrize("sent", [None, False, True])
def test_add_user_is_guarded_as_every_enrolment(context: FakeContext, sent: bool | None) -> None:
    given = USER if sent is None else {**USER, "force": sent}
    assert call("POST", "/api/v1/add_user", given, key=None).status == 200
    assert context.gallery.enrolled[0]["guard"] == Guard(force=bool(sent))


def test_add_user_by_form(context: FakeContext) -> None:
    fields = {**USER, "email": ""}
    body = "".join(
        f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    assert send("/api/v1/add_user", f"{body}--xyz--\r\n".encode()).status == 200
    assert context.gallery.enrolled[0]["person"].email is None


@pytest.mark.parametrize("missing", ["name", "birthdate", "req_id"])
def test_add_user_needs(context: FakeContext, missing: str) -> None:
    given = {name: value for name, value in USER.items() if name != missing}
    answer = call("POST", "/api/v1/add_user", given, key=None)
    assert (answer.status, answer.json["status"]) == (400, "error")
    assert missing in answer.json["message"]


@pytest.mark.parametrize(
    "wrong", [{"birthdate": "soon"}, {"email": "no address"}, {"name": "\n"}, {"age": 5}]
)
def test_add_user_refuses(context: FakeContext, wrong: dict[str, Any]) -> None:
    answer = call("POST", "/api/v1/add_user", {**USER, **wrong}, key=None)
    assert answer.status == 400
    assert next(iter(wrong)) in answer.json["message"]
    assert not context.gallery.enrolled


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ErrorCode.UNKNOWN_REQ_ID, 404, "unknown_req_id"),
        (ErrorCode.UNKNOWN_COLLECTION, 404, "unknown_req_id"),
        (ErrorCode.DUPLICATE_PERSON, 409, "duplicate_person"),
        (ErrorCode.POOR_FACE, 400, "poor_face"),
        (ErrorCode.LOOKS_LIKE_ANOTHER, 409, "looks_like_another"),
        (ErrorCode.DUPLICATE_FACE, 409, "duplicate_face"),
        (ErrorCode.UNAVAILABLE, 503, "unavailable"),
    ],
)
def test_what_add_user_cannot_do(
    context: FakeContext, error: ErrorCode, status: int, code: str
) -> None:
    context.gallery.error = FacesError(error)
    answer = call("POST", "/api/v1/add_user", USER, key=None)
    assert (answer.status, answer.json["error_code"]) == (status, code)


def test_a_defect_of_ours_is_told_in_the_same_form(context: FakeContext) -> None:
    context.gallery = None
    answer = call("POST", "/api/v1/add_user", USER, key=None)
    assert (answer.status, answer.json["error_code"]) == (500, "internal")
    assert answer.json["requestId"] == answer.headers["x-request-id"]
