"""Bulk enrolment: many photos become people.

A folder a person, or a photo a person: `Ann Smith/1.jpg`, `Ann Smith/2.jpg`, `Bob.jpg`; the
same in a zip, whose own folder (`staff/` in `staff.zip`) is nobody's. A second photo of a
person is added to who the first one made.
"""

import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path, PurePosixPath

from faces.client.errors import ApiError, ClientError, JobFailed, PhotoNotReadable, UploadRefused
from faces.client.jobs import succeeded
from faces.client.photos import load
from faces.client.sync import Client
from faces.contracts.jobs import DEFAULT_COLLECTION, JobKind, JobParams, JobState
from faces.contracts.results import Enrolment

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Zipped:
    """A photo in a zip, read when it is sent: all together may be more than the memory."""

    archive: zipfile.ZipFile
    entry: zipfile.ZipInfo

    def read(self) -> bytes:
        """Return the photo.

        Raises
        ------
        PhotoNotReadable
            It is damaged, encrypted, or packed in a way that is not known.
        """
        try:
            return self.archive.read(self.entry)
        except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise PhotoNotReadable(f"{self.entry.filename}: {error}") from error


@dataclass(frozen=True)
class Portrait:
    """A photo of one person.

    Attributes
    ----------
    name : how the photo is called to people.
    content : a path, bytes, or a place in a zip.
    job_id : of the job that it was opened for earlier; it is not sent again where that has it.
    """

    name: str
    content: Path | bytes | Zipped
    job_id: str | None = None


@dataclass
class Sitter:
    """A person to be enrolled: one who is there (`person_id`), or will be made."""

    name: str
    portraits: list[Portrait]
    person_id: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one photo: an enrolment, or the error why there is none."""

    name: str
    photo: str
    enrolment: Enrolment | None = None
    error: ClientError | None = None

    @property
    def lasts(self) -> bool:
        """Whether sending the same photo again would end the same way."""
        return self.error is None or isinstance(
            self.error, JobFailed | UploadRefused | PhotoNotReadable
        )

    @property
    def refused(self) -> str | None:
        """Return the reason in a line, or None where it was enrolled."""
        if isinstance(self.error, JobFailed):
            return f"{self.error.code}: {self.error.error.message}"
        return None if self.error is None else str(self.error)


@dataclass(frozen=True)
class Bulk:
    """How people are enrolled.

    Attributes
    ----------
    force : enrol though a check advises against it; `enrolment.warnings` says which.
    at_once : photos that are worked on at the same time.
    timeout : seconds to wait for one photo.
    opened : is told of each photo before it is sent, with its job's id; by any thread.
    """

    client: Client
    collection: str = DEFAULT_COLLECTION
    force: bool = False
    at_once: int = 16
    timeout: float = 600.0
    opened: Callable[[str, str], None] = field(default=lambda *_: None)

    def enroll(self, sitters: Iterable[Sitter]) -> Iterator[Outcome]:
        """Enrol everybody; yield what became of each photo as it ends.

        Nobody is made twice: a person's photos go one by one until one of them has made the
        person, and then all at once. Where it is not known whether a photo has (no answer
        came), the person's other photos end with the same error, and are not sent.
        """
        ready: deque[tuple[Sitter, Portrait]] = deque()
        later: dict[int, deque[Portrait]] = {}
        for sitter in sitters:
            portraits = deque(sitter.portraits)
            if sitter.person_id is None and portraits:
                ready.append((sitter, portraits.popleft()))
                later[id(sitter)] = portraits
            else:
                ready.extend((sitter, portrait) for portrait in portraits)
        running: dict[Future[Outcome], Sitter] = {}
        pool = ThreadPoolExecutor(self.at_once)
        try:
            while ready or running:
                while ready and len(running) < self.at_once:
                    sitter, portrait = ready.popleft()
                    running[pool.submit(self._one, sitter, portrait)] = sitter
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    sitter, outcome = running.pop(done), done.result()
                    if outcome.enrolment is not None:
                        sitter.person_id = outcome.enrolment.person_id
                    yield outcome
                    waiting = later.get(id(sitter), deque())
                    while waiting and sitter.person_id is None and not outcome.lasts:
                        yield replace(outcome, photo=waiting.popleft().name)
                    while waiting:
                        ready.append((sitter, waiting.popleft()))
                        if sitter.person_id is None:
                            break
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _one(self, sitter: Sitter, portrait: Portrait) -> Outcome:
        who = {"person_id": sitter.person_id, "person_name": sitter.name}
        del who["person_name" if sitter.person_id else "person_id"]
        params = JobParams.model_validate({**who, "force": self.force})
        outcome = Outcome(sitter.name, portrait.name)
        try:
            job_id = self._sent_before(portrait)
            if job_id is None:
                content = portrait.content
                photo = load(content.read() if isinstance(content, Zipped) else content)
                created = self.client.submit(photo, JobKind.ENROLL, self.collection, params)
                job_id = created.job_id
                self.opened(portrait.name, job_id)
                self.client.upload(created, photo)
            result = succeeded(self.client.wait(job_id, timeout=self.timeout))
        except ClientError as error:
            return replace(outcome, error=error)
        return replace(outcome, enrolment=result.enrolment)

    def _sent_before(self, portrait: Portrait) -> str | None:
        """Return the job that has a photo already; None where it is to be sent."""
        if portrait.job_id is None or unsent(self.client, portrait.job_id):
            return None
        return portrait.job_id


def unsent(client: Client, job_id: str) -> bool:
    """Whether a job that was opened has no photo, so that it never did anything."""
    try:
        return client.job(job_id).state in (JobState.AWAITING_UPLOAD, JobState.EXPIRED)
    except ApiError as error:
        if error.status in (404, 410):
            return True
        raise


def sitters_of(source: Path) -> list[Sitter]:
    """Return who is on the photos of a folder or a zip; a folder or a photo a person.

    Raises
    ------
    OSError, zipfile.BadZipFile
        When the source cannot be read.
    """
    found: list[tuple[str, str, Path | Zipped]] = []
    if source.is_dir():
        for path in source.rglob("*"):
            if path.is_file() and path.suffix.lower() in SUFFIXES:
                relative = PurePosixPath(path.relative_to(source).as_posix())
                found.append((_person(relative), str(path), path))
    else:
        archive = zipfile.ZipFile(source)  # stays open as long as its photos are there
        for entry in archive.infolist():
            relative = PurePosixPath(entry.filename)
            hidden = relative.parts[:1] == ("__MACOSX",) or relative.name.startswith(".")
            if not entry.is_dir() and relative.suffix.lower() in SUFFIXES and not hidden:
                name = f"{source}:{relative}"
                found.append((_person(_within(relative, source)), name, Zipped(archive, entry)))
    found.sort(key=lambda each: each[:2])
    return [
        Sitter(person, [Portrait(name, content) for _, name, content in group])
        for person, group in groupby(found, key=lambda each: each[0])
    ]


def _within(path: PurePosixPath, archive: Path) -> PurePosixPath:
    """Return a path without the folder that was packed: `staff/Bob.jpg` of `staff.zip`."""
    return path.relative_to(archive.stem) if path.parts[:1] == (archive.stem,) else path


def _person(path: PurePosixPath) -> str:
    """Return whose photo this is: the folder's name, or the file's without extension."""
    return (path.parent.name or path.stem).replace("_", " ")
