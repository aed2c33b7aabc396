"""Bulk enrolment: a folder or a zip of photos becomes people.

A folder a person, or a photo a person: `Ann Smith/1.jpg`, `Ann Smith/2.jpg`, `Bob.jpg`. A
second photo of a person is added to who the first one made.

python -m faces.client.bulk staff/ --collection office
python -m faces.client.bulk staff.zip --collection office --force
"""

import argparse
import sys
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from faces.client.errors import ClientError, JobFailed
from faces.client.photos import Photo, load
from faces.client.sync import Client
from faces.contracts.jobs import DEFAULT_COLLECTION, JobKind, JobParams
from faces.contracts.results import Enrolment

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Outcome:
    """What became of one photo: an enrolment, or the reason why there is none."""

    name: str
    photo: str
    enrolment: Enrolment | None = None
    refused: str | None = None


def enroll_all(
    client: Client,
    source: Path,
    *,
    collection: str = DEFAULT_COLLECTION,
    force: bool = False,
    at_once: int = 16,
    timeout: float = 600.0,
) -> Iterator[Outcome]:
    """Enrol every photo of a folder or zip; yield what became of each, person by person.

    Parameters
    ----------
    force : enrol though a check advises against it; `enrolment.warnings` says which.
    at_once : people who are worked on at the same time.
    timeout : seconds to wait for one photo.
    """
    people = photos_of(source)

    def enroll(item: tuple[str, list[tuple[str, Path | bytes]]]) -> list[Outcome]:
        name, photos = item
        outcomes: list[Outcome] = []
        person_id: str | None = None
        for path, content in photos:
            outcome = _enroll(client, name, person_id, path, content, collection, force, timeout)
            if outcome.enrolment is not None:
                person_id = outcome.enrolment.person_id
            outcomes.append(outcome)
        return outcomes

    with ThreadPoolExecutor(at_once) as pool:
        for outcomes in pool.map(enroll, people.items()):
            yield from outcomes


def photos_of(source: Path) -> Mapping[str, list[tuple[str, Path | bytes]]]:
    """Return path and content of each person's photos, by the person's name."""
    found: list[tuple[str, str, Path | bytes]] = []
    if source.is_dir():
        for path in source.rglob("*"):
            if path.is_file() and path.suffix.lower() in _SUFFIXES:
                relative = PurePosixPath(path.relative_to(source).as_posix())
                found.append((_name(relative), str(relative), path))
    else:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                relative = PurePosixPath(entry.filename)
                hidden = relative.parts[:1] == ("__MACOSX",) or relative.name.startswith(".")
                if not entry.is_dir() and relative.suffix.lower() in _SUFFIXES and not hidden:
                    found.append((_name(relative), str(relative), archive.read(entry)))
    found.sort(key=lambda each: each[:2])
    return {
        name: [(path, content) for _, path, content in group]
        for name, group in groupby(found, key=lambda each: each[0])
    }


def _name(path: PurePosixPath) -> str:
    """Return whose photo this is: the folder's name, or the file's without extension."""
    return (path.parent.name or path.stem).replace("_", " ")


def _enroll(
    client: Client,
    name: str,
    person_id: str | None,
    path: str,
    content: Path | bytes,
    collection: str,
    force: bool,
    timeout: float,
) -> Outcome:
    who = {"person_id": person_id} if person_id else {"person_name": name}
    params = JobParams.model_validate({**who, "force": force})
    try:
        photo: Photo = load(content)
        result = client.run(photo, JobKind.ENROLL, collection, params, timeout=timeout)
    except JobFailed as error:
        return Outcome(name, path, refused=f"{error.code}: {error.error.message}")
    except ClientError as error:
        return Outcome(name, path, refused=str(error))
    return Outcome(name, path, enrolment=result.enrolment)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m faces.client.bulk", description=__doc__)
    parser.add_argument("source", type=Path, help="folder or zip file")
    parser.add_argument("--collection", default=DEFAULT_COLLECTION)
    parser.add_argument("--force", action="store_true")
    asked = parser.parse_args()
    refused = 0
    try:
        with Client() as client:
            for done in enroll_all(
                client, asked.source, collection=asked.collection, force=asked.force
            ):
                refused += done.refused is not None
                warnings = ", ".join(done.enrolment.warnings) if done.enrolment else ""
                sys.stdout.write(f"{done.photo}\t{done.name}\t{done.refused or warnings or 'ok'}\n")
    except (ClientError, OSError, zipfile.BadZipFile) as error:
        sys.exit(str(error))
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
