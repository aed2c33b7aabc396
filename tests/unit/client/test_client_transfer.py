"""Files of exported collections: whole, or refused."""

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from faces.client import Client
from faces.client.bulk import Bulk, Zipped, sitters_of
from faces.client.errors import ApiError
from faces.client.transfer import DamagedExport, check_file, export_file, import_file
from faces.contracts.collections import Collection, CollectionSettings
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from faces.contracts.transfer import FaceRecord, Imported, PersonRecord
from tests.unit.client.fake_office import KEY, FakeOffice
from tests.unit.client.fake_service import API

NOW = datetime(2026, 1, 2, tzinfo=UTC)
VECTOR = base64.b64encode(bytes(1024)).decode()


def person(name: str) -> PersonRecord:
    face = FaceRecord(face_id=new_id(), model_tag="m/1", vector=VECTOR)
    return PersonRecord(person_id=new_id(), name=name, faces=(face, face))


class FakeClient:
    """A client whose service holds some people."""

    def __init__(self, *people: PersonRecord) -> None:
        self.people = list(people)
        self.imported: list[PersonRecord] = []
        self.settings = {"office": CollectionSettings(threshold=0.8), "empty": CollectionSettings()}

    @property
    def manage(self) -> "FakeClient":
        return self

    def collection(self, collection: str) -> Collection:
        if collection not in self.settings:
            raise ApiError(FacesError(ErrorCode.UNKNOWN_COLLECTION).problem("r"))
        people, settings = len(self.people), self.settings[collection]
        return Collection(
            collection=collection, settings=settings, people=people, faces=0, created_at=NOW
        )

    def create_collection(self, collection: str, settings: CollectionSettings) -> None:
        assert collection not in self.settings
        self.settings[collection] = settings

    def change_collection(self, collection: str, settings: CollectionSettings) -> None:
        assert collection in self.settings
        self.settings[collection] = settings

    def export(self, _collection: str) -> Iterator[PersonRecord]:
        yield from self.people

    def import_people(self, people: Iterable[PersonRecord], _collection: str) -> Iterator[Imported]:
        for each in people:
            self.imported.append(each)
            yield Imported(people=1, faces=len(each.faces))


def as_client(fake: FakeClient) -> Client:
    return cast(Client, cast(Any, fake))


@pytest.fixture
def service() -> FakeClient:
    return FakeClient(person("Ann"), person("Zoë\u2028"))


def test_a_file_brings_everybody_back(tmp_path: Path, service: FakeClient) -> None:
    path = tmp_path / "office.jsonl"
    footer = export_file(as_client(service), "office", path)
    assert (footer.people, footer.faces) == (2, 4)
    assert check_file(path) == footer
    done = import_file(as_client(service), "copy", path)
    assert (done.people, done.faces, done.skipped) == (2, 4, ())
    assert service.imported == service.people


def test_an_empty_collection_has_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    export_file(as_client(FakeClient()), "empty", path)
    assert import_file(as_client(FakeClient()), "copy", path).people == 0


def test_a_new_or_empty_collection_gets_the_settings_of_the_exported_one(
    tmp_path: Path, service: FakeClient
) -> None:
    path, wanted = tmp_path / "office.jsonl", service.settings["office"]
    export_file(as_client(service), "office", path)
    restored = FakeClient()
    for place in ("new", "empty"):
        import_file(as_client(restored), place, path)
        assert restored.settings[place] == wanted
    in_use = FakeClient(person("Cid"))
    import_file(as_client(in_use), "empty", path)
    assert in_use.settings["empty"] == CollectionSettings()


def test_a_file_without_settings_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    old = '{"format":"elastic-faces-collection","version":1,"collection":"c",'
    old += '"exported_at":"2026-01-01T00:00:00Z"}\n'
    sha256 = hashlib.sha256(old.encode()).hexdigest()
    path.write_text(old + json.dumps({"people": 0, "faces": 0, "sha256": sha256}) + "\n")
    service = FakeClient()
    assert import_file(as_client(service), "new", path).people == 0
    assert "new" not in service.settings


def cut(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda text: text.replace("Ann", "Ana"),
        lambda text: text.replace('"version":1', '"version":2'),
        lambda _: "",
        lambda _: "{}\n{}\n",
    ],
    ids=["cut off", "changed", "another version", "empty", "something else"],
)
def test_a_damaged_file_is_not_imported(tmp_path: Path, service: FakeClient, damage: Any) -> None:
    path = tmp_path / "office.jsonl"
    export_file(as_client(service), "office", path)
    path.write_text(damage(path.read_text("utf-8")), "utf-8")
    with pytest.raises(DamagedExport):
        import_file(as_client(service), "copy", path)
    assert service.imported == []


def test_photos_are_put_to_people_by_folder_or_name(tmp_path: Path) -> None:
    names = ["Ann_Smith/2.jpg", "Ann_Smith/1.JPG", "Bob.png", "notes.txt"]
    folder = tmp_path / "staff"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    with zipfile.ZipFile(tmp_path / "staff.zip", "w") as archive:
        for name in [*names, "__MACOSX/Bob.png"]:
            archive.writestr(name, name)
    for source, mark in ((folder, "/"), (tmp_path / "staff.zip", ":")):
        found = {sitter.name: sitter.portraits for sitter in sitters_of(source)}
        assert {name: [each.name for each in portraits] for name, portraits in found.items()} == {
            "Ann Smith": [f"{source}{mark}Ann_Smith/1.JPG", f"{source}{mark}Ann_Smith/2.jpg"],
            "Bob": [f"{source}{mark}Bob.png"],
        }
    packed = sitters_of(tmp_path / "staff.zip")[1].portraits[0].content
    assert isinstance(packed, Zipped)
    assert packed.read() == b"Bob.png"


def test_the_folder_that_was_packed_is_nobody(tmp_path: Path) -> None:
    path = tmp_path / "staff.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("staff/Ann_Smith/1.jpg", "staff/Bob.png", "staff/Cid.png"):
            archive.writestr(name, name)
    assert [sitter.name for sitter in sitters_of(path)] == ["Ann Smith", "Bob", "Cid"]


def test_a_photo_that_is_damaged_in_a_zip_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "staff.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Ann.jpg", b"\xff\xd8\xff Ann")
        archive.writestr("Bob.jpg", b"\xff\xd8\xff Bob")
    path.write_bytes(path.read_bytes().replace(b"\xff\xd8\xff Bob", b"\xff\xd8\xff Bad"))
    office = FakeOffice()
    with Client(API, KEY, transport=office.transport, sleep=lambda _: None) as client:
        outcomes = {each.name: each for each in Bulk(client).enroll(sitters_of(path))}
    assert outcomes["Ann"].enrolment is not None
    assert "Bad CRC" in (outcomes["Bob"].refused or "")
