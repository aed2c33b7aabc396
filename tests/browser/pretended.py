"""A service that is only pretended: the real page, with answers made up in the test."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from PIL import Image
from playwright.sync_api import Page, Route, expect
from skimage import data

from chalice_app.page import files
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id

# The stage of an API Gateway stands in the path, and the page must cope with it.
ORIGIN = "https://faces.test"
BASE = f"{ORIGIN}/api"
BUCKET = "https://bucket.test"
KEY = "a key that is right"

Answer = Callable[["Asked"], Any]


@dataclass(frozen=True)
class Asked:
    """One request of the page."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    values: tuple[str, ...] = ()


@dataclass
class Pretended:
    """Answers the page's requests; `asked` holds all that came."""

    answers: list[tuple[str, re.Pattern[str], Answer]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    refuse_uploads: int = 0
    bucket: str = BUCKET

    def on(self, method: str, pattern: str, answer: Answer | Any) -> None:
        """Answer requests to paths that match; the last rule that fits counts."""
        made = answer if callable(answer) else lambda _asked: answer
        self.answers.insert(0, (method, re.compile(pattern), made))

    def serve(self, page: Page) -> None:
        page.route(f"{ORIGIN}/**", self._handle)
        page.route(f"{BUCKET}/**", self._take)

    def _handle(self, route: Route) -> None:
        request = route.request
        parts = urlsplit(request.url)
        path = parts.path.removeprefix("/api")
        if path == "/":
            index = files.index(BASE, f"{self.bucket}/in/")
            return route.fulfill(body=index.body, headers=index.headers)
        if path.startswith("/page/"):
            _, _, version, name = path.split("/")
            found = files.file(version, name)
            assert found is not None, path
            return route.fulfill(body=found.body, headers=found.headers)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        sent = request.post_data
        asked = Asked(request.method, path, query, json.loads(sent) if sent else None)
        self.asked.append(asked)
        if request.headers.get("x-api-key") != KEY:
            return _problem(route, FacesError(ErrorCode.UNAUTHENTICATED))
        for method, pattern, answer in self.answers:
            match = pattern.fullmatch(path)
            if method == request.method and match:
                values = Asked(request.method, path, query, asked.body, match.groups())
                try:
                    return route.fulfill(json=answer(values))
                except FacesError as error:
                    return _problem(route, error)
        return _problem(route, FacesError(ErrorCode.UNKNOWN_ROUTE))

    def _take(self, route: Route) -> None:
        cors = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
        if route.request.method == "OPTIONS":
            return route.fulfill(status=204, headers=cors)
        if self.refuse_uploads:
            self.refuse_uploads -= 1
            return route.abort("connectionreset")
        self.sent.append(route.request.post_data_buffer or b"")
        return route.fulfill(status=204, headers=cors)


def _problem(route: Route, error: FacesError) -> None:
    problem = error.problem("request-1")
    route.fulfill(
        status=problem.status,
        body=problem.model_dump_json(exclude_none=True),
        headers={"Content-Type": "application/problem+json"},
    )


def moment(seconds_ago: float = 0) -> str:
    """Return a time as the service writes it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()


def person(name: str, faces: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "person_id": new_id(),
        "name": name,
        "faces": faces,
        "created_at": moment(5000),
        **more,
    }


def face(
    box: tuple[int, int, int, int], name: str | None = None, similarity: float = 0.91, **more: Any
) -> dict[str, Any]:
    """Return a face of a result: of somebody, or unknown with a `req_id`."""
    point = {"x": 1.0, "y": 1.0}
    made: dict[str, Any] = {
        "box": dict(zip(("left", "top", "right", "bottom"), box, strict=True)),
        "landmarks": dict.fromkeys(
            ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right"), point
        ),
        "confidence": 0.999,
        "quality": {
            "sharpness": 70.0,
            "brightness": 60.0,
            "size_px": box[2] - box[0],
            "pose": {"roll": 0.0, "yaw": 0.0, "pitch": 0.0},
            "score": 64.0,
            "reasons": [],
        },
        "candidates": [],
    }
    if name is None:
        made |= {"req_id": new_id(), "req_id_expires_at": moment(-600)}
    else:
        made["match"] = {
            "person_id": new_id(),
            "name": name,
            "face_id": new_id(),
            "similarity": similarity,
            "probability": 0.998,
            "threshold": 0.68,
            "false_accept_rate": 0.01,
        }
    return made | more


def result(*faces: dict[str, Any], width: int = 512, height: int = 512) -> dict[str, Any]:
    return {
        "kind": "identify",
        "collection": "default",
        "state": "succeeded",
        "photo": {"width": width, "height": height, "format": "JPEG"},
        "faces": list(faces),
        "cached": False,
        "submitted_at": moment(1),
        "finished_at": moment(),
    }


def recent_job(number: int, **more: Any) -> dict[str, Any]:
    """Return a job of the list, a newer one for a smaller number."""
    started = number * 23.0 + 2
    return {
        "job_id": new_id(),
        "state": "succeeded",
        "submitted_at": moment(started),
        "finished_at": moment(started - 0.2 - 0.07 * (number * 7 % 11)),
        "kind": "identify",
        "collection": "default",
        "file_name": f"team-{number:03}.jpg",
        "faces": 3,
        "known": number % 4,
        "cached": False,
        "worker_id": "i-0123456789abcdef0",
        **more,
    }


def worker(number: int, state: str) -> dict[str, Any]:
    return {
        "instance_id": f"i-0123456789abcde{number:02}",
        "name": f"app-tier-instance-{number}",
        "state": state,
        "instance_type": "g4dn.xlarge",
        "spot": bool(number % 2),
        "launched_at": moment(600 * number),
    }


AT = (177, 50, 243, 150)


def photo(kind: str = "JPEG", side: int = 128) -> bytes:
    """Return the public-domain astronaut."""
    made = io.BytesIO()
    astronaut = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]
    astronaut.resize((side, side)).save(made, kind)
    return made.getvalue()


def jpeg(name: str = "team.jpg") -> Any:
    return {"name": name, "mimeType": "image/jpeg", "buffer": photo()}


def answers(service: Pretended, answer: Any) -> None:
    """Let every job end with this result, or this error."""

    def view(asked: Asked) -> Any:
        job = {"job_id": asked.values[0], "submitted_at": moment(1)}
        if isinstance(answer, FacesError):
            return job | {"state": "failed", "error": answer.info().model_dump(mode="json")}
        return job | {"state": "succeeded", "result": answer}

    service.on("GET", "/v1/jobs/([^/]+)", view)


def sign_in(page: Page) -> None:
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Who is in the photo?")).to_be_visible()


def send(page: Page, *files: Any) -> None:
    page.locator("#chooser").set_input_files(list(files) or [jpeg()])


def raising(code: ErrorCode, detail: str | None = None) -> Any:
    def answer(_asked: Asked) -> Any:
        raise FacesError(code, detail)

    return answer
