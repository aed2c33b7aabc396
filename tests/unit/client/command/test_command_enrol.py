"""`faces enroll`: a person, folders of people, resuming without enrolling twice."""

from pathlib import Path

import httpx
import pytest

from faces.contracts.errors import ErrorCode
from tests.unit.client.command.conftest import JPEG, Shell
from tests.unit.client.fake_office import FakeOffice
from tests.unit.client.fake_service import problem


@pytest.fixture
def staff(tmp_path: Path) -> Path:
    folder = tmp_path / "staff"
    for name in ("Cleo_Roy/1.jpg", "Cleo_Roy/2.jpg", "Cleo_Roy/3.jpg", "Dan.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(JPEG + name.encode())
    return folder


def faces_of(office: FakeOffice) -> dict[str, int]:
    return {person.name: person.faces for person in office.people.values()}


def test_all_photos_of_a_folder_are_one_person(
    shell: Shell, office: FakeOffice, staff: Path
) -> None:
    said = shell("enroll", "--person", "Cleo", staff / "Cleo_Roy")
    assert said.code == 0
    assert len({line["person_id"] for line in said.lines}) == 1
    assert faces_of(office)["Cleo"] == 3


def test_a_known_name_gets_more_faces(shell: Shell, office: FakeOffice, staff: Path) -> None:
    assert shell("enroll", "--person", "ann", staff / "Dan.jpg").code == 0
    assert faces_of(office) == {"Ann": 2, "Bob": 1, "Zoë": 1}
    assert shell("enroll", "--new", "--person", "Ann", staff / "Dan.jpg").code == 0
    assert sorted(person.name for person in office.people.values())[:2] == ["Ann", "Ann"]
    said = shell("enroll", "--person", "Ann", staff / "Cleo_Roy")
    assert said.code == 2
    assert "--person-id" in said.notes


def test_a_folder_is_a_person(shell: Shell, office: FakeOffice, staff: Path) -> None:
    said = shell("enroll", staff)
    assert said.code == 0
    assert {name: n for name, n in faces_of(office).items() if name in ("Cleo Roy", "Dan")} == {
        "Cleo Roy": 3,
        "Dan": 1,
    }


def test_a_refused_photo_says_why_and_the_others_go_on(
    shell: Shell, office: FakeOffice, staff: Path
) -> None:
    (staff / "Cleo_Roy" / "1.jpg").write_bytes(b"two people")
    said = shell("enroll", staff)
    assert said.code == 5
    errors = [line["error"] for line in said.lines if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith("several_faces: ")
    assert faces_of(office)["Cleo Roy"] == 2


def test_nobody_is_enrolled_twice_after_a_break(
    shell: Shell, office: FakeOffice, staff: Path
) -> None:
    """The answers of uploaded photos are lost; the second run asks for them."""

    def lose(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.startswith("/v1/jobs/"):
            office.answer_quietly(request)
            raise httpx.ConnectError("reset")
        return None

    office.refuse = lose
    assert shell("enroll", staff).code == 4
    assert office.uploads() == 2, "one of each person; the others wait for who that is"
    office.refuse = lambda _: None
    assert shell("enroll", staff).code == 0
    assert faces_of(office)["Cleo Roy"] == 3
    assert faces_of(office)["Dan"] == 1
    assert len([p for p in office.people.values() if p.name == "Cleo Roy"]) == 1
    assert office.uploads() == 4


def test_an_unknown_face_is_enrolled_by_its_req_id(shell: Shell, office: FakeOffice) -> None:
    said = shell("enroll", "--req-id", "r1", "--person", "Cleo")
    assert (said.code, said.lines[0]["name"]) == (0, "Cleo")
    assert office.uploads() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--person", "a", "--person-id", "b", "{photo}"],
        ["--req-id", "r", "--person", "a", "{photo}"],
        ["{photo}"],
    ],
)
def test_what_was_given_wrongly_is_said(shell: Shell, staff: Path, arguments: list[str]) -> None:
    photo = staff / "Dan.jpg"
    assert shell("enroll", *[each.format(photo=photo) for each in arguments]).code == 2


def test_a_wrong_key_is_said(shell: Shell, office: FakeOffice, staff: Path) -> None:
    office.refuse = lambda _: problem(ErrorCode.FORBIDDEN)
    assert shell("enroll", staff).code == 3


def test_a_photo_that_never_arrived_is_sent_by_the_next_run(
    shell: Shell, office: FakeOffice, staff: Path
) -> None:
    def lose(request: httpx.Request) -> httpx.Response | None:
        if request.url.host == "s3.test":
            raise httpx.ConnectError("refused")
        return None

    office.refuse = lose
    assert shell("enroll", staff).code == 4
    assert shell("identify", staff / "Dan.jpg").code == 4
    office.refuse = lambda _: None
    assert shell("enroll", staff).code == 0
    assert (faces_of(office)["Cleo Roy"], faces_of(office)["Dan"]) == (3, 1)
    assert shell("identify", staff / "Dan.jpg").code == 0
