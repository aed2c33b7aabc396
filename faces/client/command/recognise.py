"""`faces identify`, `faces detect`, `faces verify`."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from faces.client.answers import Answer
from faces.client.bulk import unsent
from faces.client.command.exits import CommandError, ExitCode
from faces.client.command.journal import Journal
from faces.client.command.output import Row, Writer, show
from faces.client.command.progress import bar
from faces.client.command.session import CollectionOption, FormatOption, Session, opened
from faces.client.command.sources import photos_of
from faces.client.errors import ApiError, ClientError, JobFailed, PhotoNotReadable, UploadRefused
from faces.client.streaming import Pace
from faces.client.sync import Client
from faces.contracts.jobs import JobKind, JobParams
from faces.contracts.results import DetectedFace, JobResult

_COLUMNS = {
    JobKind.IDENTIFY: ("photo", "name", "similarity", "probability", "req_id", "poor", "error"),
    JobKind.DETECT: ("photo", "box", "confidence", "sharpness", "brightness", "poor", "error"),
}

Photos = Annotated[
    list[Path], typer.Argument(metavar="PHOTO|FOLDER...", help="Photos, and folders of photos.")
]
DrawOption = Annotated[
    Path | None,
    typer.Option("--draw", metavar="FOLDER", help="Put annotated copies of the photos here."),
]
AtOnceOption = Annotated[
    int, typer.Option("--at-once", min=1, max=64, help="Requests at the same time.")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds to wait for one photo.")
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Begin anew instead of going on where it stopped.")
]
RateOption = Annotated[
    float | None,
    typer.Option("--false-accept-rate", help="Share of strangers that may be taken for somebody."),
]
MaxFacesOption = Annotated[
    int | None, typer.Option("--max-faces", help="At most so many faces, the largest first.")
]


def identify(
    context: typer.Context,
    photos: Photos,
    collection: CollectionOption = "default",
    false_accept_rate: RateOption = None,
    max_faces: MaxFacesOption = None,
    chosen: FormatOption = None,
    draw: DrawOption = None,
    require_match: Annotated[
        bool, typer.Option("--require-match", help="Exit with 10 where somebody is unknown.")
    ] = False,
    at_once: AtOnceOption = 8,
    timeout: TimeoutOption = 600,
    fresh: FreshOption = False,
) -> None:
    """Say who is on photos.

    Many photos are sent at the same time. When the command was stopped, or the connection
    was lost, the same command goes on where it stopped.
    """
    params = _params(false_accept_rate=false_accept_rate, max_faces=max_faces)
    question = Question(JobKind.IDENTIFY, collection, params, Pace(at_once, timeout=timeout))
    with opened(context) as (session, client):
        run = Run(session, client, question, draw, _writer(session, chosen, JobKind.IDENTIFY))
        run.through(photos_of(photos), fresh)
        run.end(require_match)


def detect(
    context: typer.Context,
    photos: Photos,
    max_faces: MaxFacesOption = None,
    chosen: FormatOption = None,
    draw: DrawOption = None,
    at_once: AtOnceOption = 8,
    timeout: TimeoutOption = 600,
    fresh: FreshOption = False,
) -> None:
    """Find the faces of photos and their quality, without asking who they are."""
    question = Question(
        JobKind.DETECT, "default", _params(max_faces=max_faces), Pace(at_once, timeout=timeout)
    )
    with opened(context) as (session, client):
        run = Run(session, client, question, draw, _writer(session, chosen, JobKind.DETECT))
        run.through(photos_of(photos), fresh)
        run.end()


def verify(
    context: typer.Context,
    photo: Annotated[Path, typer.Argument(help="Photo of one face.")],
    person: Annotated[
        str | None, typer.Option("--person-id", help="Whose face it should be.")
    ] = None,
    req_id: Annotated[
        str | None, typer.Option("--req-id", help="Unknown face of an earlier answer.")
    ] = None,
    collection: CollectionOption = "default",
    false_accept_rate: RateOption = None,
    chosen: FormatOption = None,
    timeout: TimeoutOption = 120,
) -> None:
    """Say whether a photo shows that person; the exit code is 10 where it does not."""
    if (person is None) == (req_id is None):
        raise typer.BadParameter("give either --person-id or --req-id")
    with opened(context) as (session, client):
        seen = client.verify(
            photo,
            person_id=person,
            req_id=req_id,
            collection=collection,
            false_accept_rate=false_accept_rate,
            timeout=timeout,
        )
        show(session, chosen, [seen], ("same_person", "similarity", "probability", "threshold"))
    if not seen.same_person:
        raise typer.Exit(ExitCode.NO_MATCH)


@dataclass(frozen=True)
class Question:
    """What is asked of every photo."""

    kind: JobKind
    collection: str
    params: JobParams
    pace: Pace


@dataclass
class Run:
    """Asks about many photos, prints each answer, remembers it, and counts."""

    session: Session
    client: Client
    question: Question
    draw: Path | None
    writer: Writer
    failed: int = 0
    unknown: int = 0
    faces: int = 0
    later: list[ClientError] = field(default_factory=list)

    def through(self, photos: list[Path], fresh: bool) -> None:
        """Answer all photos; those first that an earlier run of the same command answered."""
        asked = {
            "url": self.client.url,
            "kind": self.question.kind,
            "collection": self.question.collection,
            "params": self.question.params.model_dump(mode="json"),
            "photos": [str(photo.resolve()) for photo in photos],
        }
        targets = _targets(photos, self.draw)
        with Journal(self.session.environ, asked, fresh=fresh) as journal:
            if len(journal):
                self.session.note(
                    f"Going on: {len(journal)} of {len(photos)} were answered before."
                )
            with self.writer, bar(self.session, self.question.kind, len(photos)) as advance:
                for photo, document in self._documents(photos, journal):
                    self._take(photo, document, targets.get(photo))
                    advance()
            if not self.later:
                journal.done()

    def end(self, require_match: bool = False) -> None:
        """Exit with what became of the photos."""
        if self.later:
            raise self.later[0]
        if self.failed:
            raise typer.Exit(ExitCode.SOME_FAILED)
        if require_match and (self.unknown or not self.faces):
            raise typer.Exit(ExitCode.NO_MATCH)

    def _documents(
        self, photos: list[Path], journal: Journal
    ) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """Yield each photo's answer as a document; remember those that will not change."""
        pending: dict[Path, str] = {}
        new: list[Path] = []
        for photo in photos:
            known = journal.known(str(photo))
            if known.answer is not None:
                yield photo, known.answer
            elif known.job_id is not None:
                pending[photo] = known.job_id
            else:
                new.append(photo)
        for photo, answer in self._awaited(pending):
            if answer is None:
                new.append(photo)
            else:
                yield self._remembered(answer, journal)
        if new:
            answers = self.client.stream(
                new,
                self.question.kind,
                self.question.collection,
                self.question.params,
                pace=self.question.pace,
                opened=lambda photo, job_id: journal.opened(str(photo), job_id),
            )
            for answer in answers:
                yield self._remembered(answer, journal)

    def _awaited(self, pending: Mapping[Path, str]) -> Iterator[tuple[Path, Answer | None]]:
        """Yield the answers of jobs that were opened earlier; None where the photo is not there."""

        def wait(photo: Path, job_id: str) -> tuple[Path, Answer | None]:
            try:
                if unsent(self.client, job_id):
                    return photo, None
                view = self.client.wait(job_id, timeout=self.question.pace.timeout)
            except ClientError as error:
                return photo, Answer(photo, job_id, error=error)
            return photo, Answer.of(photo, view)

        pool = ThreadPoolExecutor(self.question.pace.at_once)
        try:
            for done in as_completed([pool.submit(wait, *item) for item in pending.items()]):
                yield done.result()
        finally:  # who stops the command does not wait for what is under way
            pool.shutdown(wait=False, cancel_futures=True)

    def _remembered(self, answer: Answer, journal: Journal) -> tuple[Path, Mapping[str, Any]]:
        photo = Path(str(answer.photo))
        document = as_document(photo, answer)
        # What failed for now is asked again by the next run.
        if answer.error is None or isinstance(answer.error, JobFailed | UploadRefused):
            journal.answered(str(photo), document)
        elif not isinstance(answer.error, PhotoNotReadable):
            self.later.append(answer.error)
        return photo, document

    def _take(self, photo: Path, document: Mapping[str, Any], target: Path | None) -> None:
        self.writer.add(rows(document, self.question.kind), document)
        self.failed += "error" in document
        if "result" not in document:
            return
        result = JobResult.model_validate(document["result"])
        self.faces += len(result.faces)
        self.unknown += sum(face.match is None for face in result.faces)
        if target is not None:
            from faces.client.draw import annotate_file

            annotate_file(photo, result, target)


def as_document(photo: Path, answer: Answer) -> dict[str, Any]:
    """Return a photo's line of JSON: `photo`, `job_id`, and `result` or `error`."""
    document: dict[str, Any] = {"photo": str(photo), "job_id": answer.job_id}
    if answer.result is not None:
        document["result"] = answer.result.model_dump(mode="json", exclude_none=True)
    elif isinstance(answer.error, JobFailed):
        document["error"] = {"code": answer.error.code, "message": answer.error.error.message}
    elif answer.error is not None:
        code = answer.error.code if isinstance(answer.error, UploadRefused | ApiError) else "client"
        document["error"] = {"code": str(code), "message": str(answer.error)}
    return document


def rows(document: Mapping[str, Any], kind: JobKind) -> Iterator[Row]:
    """Yield a row for each face of a photo, or the one that says why there is none."""
    photo = document["photo"]
    if "error" in document:
        error = document["error"]
        yield {"photo": photo, "error": f"{error['code']}: {error['message']}"}
        return
    faces = JobResult.model_validate(document["result"]).faces
    for face in faces:
        yield {"photo": photo, **(_who(face) if kind is JobKind.IDENTIFY else _how(face))}
    if not faces:
        yield {"photo": photo, "name": "(no face)", "box": "(no face)"}


def _who(face: DetectedFace) -> Row:
    poor = face.quality.reasons
    if face.match is None:
        return {"name": "(unknown)", "req_id": face.req_id, "poor": poor}
    return {
        "name": face.match.name,
        "similarity": face.match.similarity,
        "probability": face.match.probability,
        "poor": poor,
    }


def _how(face: DetectedFace) -> Row:
    return {
        "box": (face.box.left, face.box.top, face.box.right, face.box.bottom),
        "confidence": face.confidence,
        "sharpness": face.quality.sharpness,
        "brightness": face.quality.brightness,
        "poor": face.quality.reasons,
    }


def _params(**given: object) -> JobParams:
    return JobParams.model_validate({k: v for k, v in given.items() if v is not None})


def _writer(session: Session, chosen: Any, kind: JobKind) -> Writer:
    return Writer(session, session.format(chosen), _COLUMNS[kind])


def _targets(photos: list[Path], folder: Path | None) -> dict[Path, Path]:
    """Return where each annotated copy goes: `<name>.jpg`, numbered where names are equal."""
    if folder is None:
        return {}
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise CommandError(
            "annotated copies need Pillow", "Run `pip install 'elastic-faces[cli]'`."
        ) from None
    targets: dict[Path, Path] = {}
    taken: set[str] = set()
    for photo in photos:
        stem, number = photo.stem, 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{photo.stem}-{number}"
        taken.add(stem.casefold())
        targets[photo] = folder / f"{stem}.jpg"
    return targets
