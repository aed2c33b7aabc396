"""Files of exported collections: JSON lines with a header, a footer and a checksum.

`faces export office.jsonl -c office` and `faces import office.jsonl -c office` use these.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from faces.client.errors import ApiError, ClientError
from faces.client.sync import Client
from faces.contracts.errors import ErrorCode
from faces.contracts.transfer import Footer, Header, Imported, PersonRecord, Skipped

Model = TypeVar("Model", bound=BaseModel)


class DamagedExport(ClientError):
    """The file is no export, ends early, or was changed; the message says which."""


def export_file(client: Client, collection: str, path: Path) -> Footer:
    """Write a collection to a file, vectors included, and return its last line.

    The file is as personal as the photos: keep it like them.
    """
    checksum, people, faces = hashlib.sha256(), 0, 0
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:

        def write(line: str) -> None:
            checksum.update(line.encode())
            file.write(line)

        settings = client.manage.collection(collection).settings
        header = Header(collection=collection, exported_at=datetime.now(UTC), settings=settings)
        write(header.model_dump_json() + "\n")
        for person in client.manage.export(collection):
            people, faces = people + 1, faces + len(person.faces)
            write(person.model_dump_json(exclude_none=True) + "\n")
        footer = Footer(people=people, faces=faces, sha256=checksum.hexdigest())
        file.write(footer.model_dump_json() + "\n")
    temporary.replace(path)
    return footer


def check_file(path: Path) -> Footer:
    """Check a file as a whole and return its last line.

    Raises
    ------
    DamagedExport
        When it is no export of this version, ends early or was changed.
    """
    checksum, last, number = hashlib.sha256(), b"", 0
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number == 0:
                _read(Header, line)
            checksum.update(last)
            last = line
    if number == 0:
        raise DamagedExport("the file is empty or ends after its header")
    footer = _read(Footer, last)
    if footer.sha256 != checksum.hexdigest():
        raise DamagedExport("the checksum is wrong: the file was changed or is not whole")
    return footer


def read_people(path: Path) -> Iterator[PersonRecord]:
    """Yield the people of a file that was checked."""
    with path.open("rb") as file:
        next(file)
        line = next(file)
        for following in file:
            yield _read(PersonRecord, line)
            line = following


def import_file(client: Client, collection: str, path: Path) -> Imported:
    """Add the people of a file to a collection, after the file was checked as a whole.

    A collection that is missing or empty gets the settings of the exported one. Doing it
    twice adds nothing, so what broke off can be done again.
    """
    check_file(path)
    _restore_settings(client, collection, path)
    people, faces = 0, 0
    skipped: list[Skipped] = []
    for part in client.manage.import_people(read_people(path), collection):
        people, faces = people + part.people, faces + part.faces
        skipped += part.skipped
    return Imported(people=people, faces=faces, skipped=tuple(skipped))


def _restore_settings(client: Client, collection: str, path: Path) -> None:
    with path.open("rb") as file:
        settings = _read(Header, next(file)).settings
    if settings is None:
        return
    try:
        found = client.manage.collection(collection)
    except ApiError as error:
        if error.code is not ErrorCode.UNKNOWN_COLLECTION:
            raise
        client.manage.create_collection(collection, settings)
    else:
        if found.people == 0 and found.settings != settings:
            client.manage.change_collection(collection, settings)


def _read(model: type[Model], line: bytes) -> Model:
    try:
        return model.model_validate_json(line)
    except ValidationError:
        raise DamagedExport(f"a line is no {model.__name__.lower()} of an export") from None
