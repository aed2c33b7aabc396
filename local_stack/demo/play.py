"""The scenes of the demo: what is asked, what must come back, and what came."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faces.client import Client, JobFailed, Photo
from faces.client.draw import annotate_file
from faces.client.photos import load
from faces.contracts.errors import ErrorCode
from faces.contracts.jobs import ContentType
from faces.contracts.results import DetectedFace, JobResult
from local_stack.demo import photos

FIRST_ANSWER_SECONDS = 90.0
"""The first job also waits for an instance to boot and its models to load."""


@dataclass(frozen=True)
class Expected:
    """What a right answer says.

    Attributes
    ----------
    known : names of everybody who must be recognised; nobody else may be.
    faces : how many faces there are; at least one, and one for each name, when None.
    error : code with which the job must fail instead.
    """

    known: frozenset[str] = frozenset()
    faces: int | None = None
    error: ErrorCode | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return self.error.value
        if self.faces == 0:
            return "no faces"
        if not self.known:
            return f"{self.faces} unknown" if self.faces and self.faces > 1 else "unknown"
        others = (self.faces or 0) - len(self.known)
        names = ", ".join(sorted(self.known))
        return f"{names} + {others} unknown" if others > 0 else names

    def met_by(self, answer: "Answer") -> bool:
        """Return whether `answer` is right."""
        if self.error is not None or answer.error is not None:
            return self.error == answer.error
        known = [face.match.name for face in answer.faces if face.match is not None]
        count = len(answer.faces)
        enough = count == self.faces if self.faces is not None else count >= max(1, len(known))
        return enough and sorted(known) == sorted(self.known)


@dataclass(frozen=True)
class Answer:
    """What came back: faces, or an error."""

    faces: tuple[DetectedFace, ...] = ()
    error: ErrorCode | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return self.error.value
        if not self.faces:
            return "no faces"
        known = sorted(
            f"{face.match.name} {face.match.similarity:.2f}" for face in self.faces if face.match
        )
        unknown = sum(face.match is None for face in self.faces)
        if unknown:
            known.append("unknown" if len(self.faces) == 1 else f"{unknown} unknown")
        return ", ".join(known)


@dataclass(frozen=True)
class Step:
    """One line of the demo's table; `ms` from the request to the answer."""

    name: str
    asked: str
    answer: str
    expected: str
    ok: bool
    ms: float


class Play:
    """Plays scenes against a service.

    Parameters
    ----------
    pictures : folder that gets the annotated photos.
    clock : monotonic seconds.
    """

    def __init__(
        self, client: Client, pictures: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._pictures = pictures
        self._clock = clock
        self.saved: list[Path] = []

    def main_job(self) -> Iterator[Step]:
        """Play unknown, enrolled, recognised, no face, no photo."""
        original = photos.astronaut()
        step, result = self._identify("unknown face", "astronaut.jpg", original, Expected(faces=1))
        yield step
        if result is None or not result.faces:
            return
        yield self._enroll(result.faces[0], photos.ASTRONAUT)
        her = Expected(frozenset({photos.ASTRONAUT}), faces=1)
        for name, file_name, photo in (
            ("mirrored, bright", "mirrored.jpg", photos.astronaut_mirrored()),
            ("cropped, pale", "cropped.webp", photos.astronaut_cropped()),
        ):
            yield self._identify(name, file_name, photo, her)[0]
        yield self._identify("no face", "coffee.png", photos.coffee(), Expected(faces=0))[0]
        not_an_image = Expected(error=ErrorCode.NOT_AN_IMAGE)
        yield self._identify("no photo", "words.jpg", photos.no_photo(), not_an_image)[0]

    def people(self, data: photos.TestData) -> Iterator[Step]:
        """Play several people and strangers."""
        for name, first, _ in data.people:
            step, result = self._identify(
                "not yet enrolled", first.name, first.read_bytes(), Expected()
            )
            yield step
            if result is not None and result.faces:
                yield self._enroll(_nearest_to_middle(result), name)
        for name, _, second in data.people:
            expected = Expected(frozenset({name}))
            yield self._identify("another photo", second.name, second.read_bytes(), expected)[0]
        for stranger in data.strangers:
            yield self._identify("stranger", stranger.name, stranger.read_bytes(), Expected())[0]
        if data.group is not None:
            yield from self._group(data.group)

    def _group(self, photo: Path) -> Iterator[Step]:
        step, result = self._identify("group", photo.name, photo.read_bytes(), Expected(faces=6))
        yield step
        if result is None or not result.faces:
            return
        name = "The one on the left"
        yield self._enroll(min(result.faces, key=lambda face: face.box.left), name)
        expected = Expected(frozenset({name}))
        mirrored = photos.mirrored(photo)
        yield self._identify("group, mirrored", "group-mirrored.jpg", mirrored, expected)[0]

    def _identify(
        self, name: str, file_name: str, photo: bytes, expected: Expected
    ) -> tuple[Step, JobResult | None]:
        announced = ContentType(load(photo).content_type)
        started = self._clock()
        result = None
        try:
            result = self._client.identify(
                Photo(photo, announced, file_name), timeout=FIRST_ANSWER_SECONDS
            )
            answer = Answer(result.faces)
        except JobFailed as failure:
            answer = Answer(error=failure.code)
        ms = (self._clock() - started) * 1000
        if result is not None and result.faces:
            self._save(photo, result, file_name)
        return Step(
            name, file_name, str(answer), str(expected), expected.met_by(answer), ms
        ), result

    def _enroll(self, face: DetectedFace, name: str) -> Step:
        started = self._clock()
        answer = "no req_id"
        if face.req_id is not None:
            answer = self._client.enroll_req_id(face.req_id, name).name
        ms = (self._clock() - started) * 1000
        return Step("enrol by req_id", "the face above", answer, name, answer == name, ms)

    def _save(self, photo: bytes, result: JobResult, file_name: str) -> None:
        number = len(self.saved) + 1
        to = self._pictures / f"{number:02d}-{Path(file_name).stem}.jpg"
        annotate_file(photo, result, to)
        self.saved.append(to)


def _nearest_to_middle(result: JobResult) -> DetectedFace:
    """Return the face whose middle is nearest to the photo's: whom the photo is of."""
    if result.photo is None:
        return result.faces[0]
    middle = (result.photo.width / 2, result.photo.height / 2)

    def distance(face: DetectedFace) -> float:
        box = face.box
        x = (box.left + box.right) / 2 - middle[0]
        y = (box.top + box.bottom) / 2 - middle[1]
        return x * x + y * y

    return min(result.faces, key=distance)
