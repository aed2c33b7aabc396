"""A gallery from a folder and a zip, through a file into another collection, and its limits."""

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from faces.client import Client
from faces.client.bulk import Bulk, Outcome, sitters_of
from faces.client.transfer import export_file, import_file
from faces.contracts.collections import CollectionSettings
from faces.contracts.errors import ErrorCode
from faces.contracts.ids import new_id
from faces.contracts.jobs import JobKind, JobParams
from faces.contracts.results import Match
from faces.contracts.transfer import FaceRecord, PersonRecord

pytestmark = pytest.mark.weights

PEOPLE = 3


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def astronaut(size: int = 512) -> bytes:
    image = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]
    return jpeg(image.resize((size, size)))


def matched(client: Client, photo: bytes, collection: str, **params: float) -> Match | None:
    """Return whom a photo's largest face is taken for."""
    given = JobParams.model_validate(params)
    result = client.run(photo, JobKind.IDENTIFY, collection, given)
    return result.faces[0].match


@pytest.fixture
def place() -> str:
    return f"gallery-{new_id()[-8:]}"


def test_a_folder_and_a_file_bring_a_person_in(client: Client, place: str, tmp_path: Path) -> None:
    """Without any test data: one person, and photos of nobody."""
    folder = tmp_path / "staff"
    (folder / "Eileen_Collins").mkdir(parents=True)
    (folder / "Eileen_Collins" / "1.jpg").write_bytes(astronaut())
    (folder / "Broken.jpg").write_bytes(astronaut()[:3000])
    (folder / "Sky.jpg").write_bytes(jpeg(Image.new("RGB", (300, 300), "skyblue")))
    (folder / "notes.txt").write_text("no photo")
    outcomes = {done.name: done for done in Bulk(client, place).enroll(sitters_of(folder))}
    assert set(outcomes) == {"Eileen Collins", "Broken", "Sky"}
    eileen = outcomes["Eileen Collins"]
    assert eileen.enrolment is not None
    assert str(outcomes["Broken"].refused).startswith(ErrorCode.CORRUPT_IMAGE)
    assert str(outcomes["Sky"].refused).startswith(ErrorCode.NO_FACE)

    [again] = Bulk(client, place).enroll(sitters_of(folder)[1:2])
    assert str(again.refused).startswith(ErrorCode.LOOKS_LIKE_ANOTHER), "nobody twice unasked"

    path = tmp_path / "staff.jsonl"
    assert export_file(client, place, path).faces == 1
    copy = f"{place}-copy"
    assert import_file(client, copy, path).people == 1
    assert import_file(client, copy, path).people == 0, "twice adds nothing"
    for collection in (place, copy):
        match = matched(client, astronaut(400), collection)
        assert match is not None
        assert match.name == "Eileen Collins"
    [person] = client.people(collection=copy)
    client.delete_person(person.person_id, collection=copy)
    assert matched(client, astronaut(400), copy) is None
    assert matched(client, astronaut(400), place) is not None, "the other collection's stays"


@pytest.mark.data
def test_many_people_come_from_a_folder_and_a_zip(
    client: Client, place: str, tmp_path: Path, test_data: Path
) -> None:
    folders = [
        folder
        for folder in sorted((test_data / "lfw-dev" / "images").iterdir())
        if len(list(folder.iterdir())) >= 3
    ][: 2 * PEOPLE]
    photos = {each.name.replace("_", " "): sorted(each.iterdir()) for each in folders}
    names = list(photos)
    first = tmp_path / "first"
    for name in names[:PEOPLE]:
        (first / name).mkdir(parents=True)
        for photo in photos[name][:2]:
            (first / name / photo.name).write_bytes(photo.read_bytes())
    second = tmp_path / "second.zip"
    with zipfile.ZipFile(second, "w") as archive:
        for name in names[PEOPLE:]:
            archive.writestr(f"second/{name}.jpg", photos[name][0].read_bytes())
            archive.writestr(f"__MACOSX/second/._{name}.jpg", b"no photo")

    done: list[Outcome] = []
    for source in (first, second):
        done += Bulk(client, place, force=True).enroll(sitters_of(source))
    assert len(done) == 3 * PEOPLE
    assert [each.refused for each in done if each.refused] == []
    people = {person.name: person.faces for person in client.people(collection=place)}
    assert people == dict.fromkeys(names[:PEOPLE], 2) | dict.fromkeys(names[PEOPLE:], 1)

    path = tmp_path / "people.jsonl"
    footer = export_file(client, place, path)
    assert (footer.people, footer.faces) == (2 * PEOPLE, 3 * PEOPLE)
    copy = f"{place}-copy"
    done_ = import_file(client, copy, path)
    assert (done_.people, done_.faces, done_.skipped) == (2 * PEOPLE, 3 * PEOPLE, ())
    right = 0
    for name in names:
        here, there = (
            matched(client, photos[name][2].read_bytes(), each) for each in (place, copy)
        )
        # Somebody may be missed in a difficult photo; nobody is taken for somebody else.
        assert (here and here.name) == (there and there.name) in (name, None)
        right += here is not None
    assert right >= 2 * PEOPLE - 1


def test_a_threshold_of_minus_one_answers_the_best_match(client: Client, place: str) -> None:
    """A collection that knows one person, whom the photo does not show."""
    enrolled = client.run(astronaut(), JobKind.ENROLL, place, JobParams(person_name="Eileen"))
    assert enrolled.enrolment is not None
    [known] = client.manage.export(place)
    vector = np.random.default_rng(1).normal(size=512)
    packed = (vector / np.linalg.norm(vector)).astype("<f2").tobytes()
    other = FaceRecord(
        face_id=new_id(),
        model_tag=known.faces[0].model_tag,
        vector=base64.b64encode(packed).decode(),
    )
    strangers = f"{place}-strangers"
    person = PersonRecord(person_id=new_id(), name="Nobody alike", faces=(other,))
    list(client.manage.import_people([person], strangers))

    assert matched(client, astronaut(400), strangers) is None
    anyone = matched(client, astronaut(400), strangers, threshold=-1)
    assert anyone is not None
    assert (anyone.name, anyone.threshold) == ("Nobody alike", -1)
    assert anyone.similarity < 0.5

    client.manage.change_collection(strangers, CollectionSettings(threshold=-1))
    best = matched(client, astronaut(410), strangers)
    assert best is not None
    assert (best.name, best.threshold, best.false_accept_rate) == ("Nobody alike", -1, None)
    strict = matched(client, astronaut(410), strangers, false_accept_rate=0.001)
    assert strict is None, "what the job asks for comes first"
    # An enrolment is still guarded by who looks alike, not by who is the best match.
    new = client.run(astronaut(420), JobKind.ENROLL, strangers, JobParams(person_name="Eileen"))
    assert new.enrolment is not None
    assert new.enrolment.warnings == ()
    match = matched(client, astronaut(430), strangers)
    assert match is not None
    assert match.name == "Eileen"
