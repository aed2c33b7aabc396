"""`faces identify`, `detect`, `verify`: many photos, formats, resuming, exit codes."""

import csv
import io
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from faces.contracts.errors import ErrorCode
from faces.contracts.results import Verification
from tests.unit.client.command.conftest import JPEG, Shell
from tests.unit.client.fake_office import FakeOffice
from tests.unit.client.fake_service import problem


def journals(shell: Shell) -> list[Path]:
    return list((Path(shell.environ["HOME"]) / ".local/state/faces/runs").glob("*"))


def test_a_folder_is_answered_with_all_below(shell: Shell, photos: Path) -> None:
    said = shell("identify", photos)
    assert said.code == 5
    found = {Path(line["photo"]).relative_to(photos).as_posix(): line for line in said.lines}
    assert set(found) == {"a.jpg", "b.JPG", "more/c.jpeg", "more/a.jpg", "d.png"}
    assert found["d.png"]["error"]["code"] == "not_an_image"
    names = [(face.get("match") or {}).get("name") for face in found["a.jpg"]["result"]["faces"]]
    assert names == ["Ann", None]


def test_all_well_is_exit_code_0_and_leaves_no_journal(shell: Shell, photos: Path) -> None:
    said = shell("identify", photos / "a.jpg", photos / "b.JPG")
    assert (said.code, len(said.lines)) == (0, 2)
    assert journals(shell) == []


def test_csv_has_a_row_for_each_face(shell: Shell, photos: Path) -> None:
    said = shell("identify", "--format", "csv", photos)
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert len(rows) == 4 * 2 + 1
    ann = next(row for row in rows if row["name"] == "Ann")
    assert (ann["similarity"], ann["probability"], ann["error"]) == ("0.9731", "0.998", "")
    assert next(row for row in rows if row["name"] == "(unknown)")["req_id"]
    assert next(row for row in rows if row["error"])["error"].startswith("not_an_image: ")


def test_people_get_a_table(shell: Shell, photos: Path) -> None:
    shell.watched = True
    said = shell("identify", photos / "a.jpg")
    assert "Ann" in said.out
    assert "0.973" in said.out
    assert "{" not in said.out


def test_a_table_has_no_empty_column_and_breaks_no_id(shell: Shell, photos: Path) -> None:
    shell.watched, shell.width = True, 80
    said = shell("identify", photos / "a.jpg")
    assert "Ann" in said.out
    assert "error" not in said.out
    assert re.search(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", said.out), said.out


def test_a_bar_tells_how_many_how_fast_and_how_long_yet(shell: Shell, photos: Path) -> None:
    shell.watched = True
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shell("identify", photos).notes)
    last = plain.splitlines()[-1]
    assert re.search(r"identify .*5/5 +[\d.]+/s +\d+:\d\d:\d\d", plain), last


def test_a_name_cannot_move_the_cursor(shell: Shell, office: FakeOffice, tmp_path: Path) -> None:
    ann = office.people[office.id_of("Ann")]
    office.people[ann.person_id] = ann.model_copy(update={"name": "Ann[bold]\x1b[2J"})
    shell.watched = True
    said = shell("people", "list")
    assert "\x1b[2J" not in said.out
    assert "Ann[bold]" in said.out


def test_annotated_copies_are_drawn_each_under_a_name_of_its_own(
    shell: Shell, tmp_path: Path
) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        Image.new("RGB", (200, 120)).save(tmp_path / place / "team.jpg")
    said = shell("identify", "--draw", tmp_path / "drawn", tmp_path / "one", tmp_path / "two")
    assert said.code == 0
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["team-2.jpg", "team.jpg"]
    with Image.open(tmp_path / "drawn" / "team.jpg") as image:
        assert max(image.size) == 640


def test_what_was_answered_is_not_asked_again(
    shell: Shell, office: FakeOffice, photos: Path
) -> None:
    """The service goes away in the middle: the same command does the rest."""

    def break_off(request: httpx.Request) -> httpx.Response | None:
        read = [each for each in office.requests if each.url.path.startswith("/v1/jobs/")]
        if len(read) > 2 and request.url.host == "faces.test":
            raise httpx.ConnectError("refused")
        return None

    office.refuse = break_off
    first = shell("identify", "--at-once", "1", photos)
    assert first.code == 4
    assert "faces status" in first.notes
    (journal,) = journals(shell)
    assert journal.stat().st_mode & 0o777 == 0o600
    answered = sum("answer" in json.loads(line) for line in journal.read_text().splitlines())
    assert answered == 2

    office.refuse = lambda _: None
    second = shell("identify", "--at-once", "1", photos)
    assert second.code == 5
    assert len(second.lines) == 5
    assert office.uploads() == 5, "no photo is sent twice"
    assert "2 of 5 were answered before" in second.notes
    assert journals(shell) == []


def test_fresh_begins_anew(shell: Shell, office: FakeOffice, photos: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.startswith("/v1/jobs/"):
            raise httpx.ConnectError("refused")
        return None

    office.refuse = refuse
    assert shell("identify", photos / "a.jpg").code == 4
    office.refuse = lambda _: None
    assert shell("identify", "--fresh", photos / "a.jpg").code == 0
    assert office.uploads() == 2


def test_a_photo_that_changed_is_sent_again(shell: Shell, office: FakeOffice, photos: Path) -> None:
    office.refuse = lambda request: (
        problem(ErrorCode.UNAVAILABLE) if "/v1/jobs/" in request.url.path else None
    )
    assert shell("identify", photos / "a.jpg").code == 4
    (photos / "a.jpg").write_bytes(JPEG + b"another")
    office.refuse = lambda _: None
    assert shell("identify", photos / "a.jpg").code == 0
    assert office.uploads() == 2


def test_a_job_that_is_no_longer_known_is_sent_again(
    shell: Shell, office: FakeOffice, photos: Path
) -> None:
    office.refuse = lambda request: (
        problem(ErrorCode.UNAVAILABLE) if "/v1/jobs/" in request.url.path else None
    )
    assert shell("identify", photos / "a.jpg").code == 4
    office.jobs.clear()
    office.refuse = lambda _: None
    assert shell("identify", photos / "a.jpg").code == 0
    assert office.uploads() == 2


def test_the_same_command_does_not_run_twice_at_once(
    shell: Shell, office: FakeOffice, photos: Path
) -> None:
    inner: list[int] = []

    def meanwhile(request: httpx.Request) -> None:
        if request.url.host == "s3.test" and not inner:
            inner.append(0)
            said = shell("identify", photos / "a.jpg")
            inner[0] = said.code
            assert "running already" in said.notes

    office.refuse = meanwhile
    assert shell("identify", photos / "a.jpg").code == 0
    assert inner == [1]


def test_require_match_tells_strangers_by_exit_code(shell: Shell, photos: Path) -> None:
    assert shell("identify", "--require-match", photos / "a.jpg").code == 10


def test_options_go_with_the_question(shell: Shell, office: FakeOffice, photos: Path) -> None:
    rate = ["--false-accept-rate", "0.001", "--max-faces", "3"]
    assert shell("identify", "-c", "door", *rate, photos / "a.jpg").code == 0
    (job,) = office.jobs.values()
    assert job.asked["collection"] == "door"
    assert job.asked["params"] == {"false_accept_rate": 0.001, "max_faces": 3}


def test_detect_tells_quality(shell: Shell, photos: Path) -> None:
    said = shell("detect", "-f", "csv", photos / "a.jpg")
    first = next(iter(csv.DictReader(io.StringIO(said.out))))
    assert (first["sharpness"], first["box"]) == ("58.3", "10 20 76 86")


def test_verify_tells_by_exit_code(
    shell: Shell, office: FakeOffice, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | Path] = ["verify", photos / "a.jpg", "--person-id", office.id_of("Ann")]
    assert shell(*asked).code == 0
    other = Verification(same_person=False, similarity=0.1, threshold=0.69)
    monkeypatch.setattr(office, "_found", lambda _: {"verification": other})
    said = shell(*asked)
    assert (said.code, said.lines[0]["same_person"]) == (10, False)


@pytest.mark.parametrize(
    ("arguments", "code", "advice"),
    [
        (["identify", "gone.jpg"], 6, "Check the path"),
        (["identify", "."], 6, "Photos end in"),
        (["identify", "-c", "bad name!", "{photo}"], 2, "--help"),
        (["identify"], 2, ""),
        (["verify", "{photo}"], 2, "either --person-id or --req-id"),
        (["identify", "--at-once", "0", "{photo}"], 2, ""),
    ],
)
def test_what_was_given_wrongly_is_said(
    shell: Shell,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    advice: str,
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    said = shell(*[each.format(photo=photos / "a.jpg") for each in arguments])
    assert said.code == code
    assert advice in said.notes


@pytest.mark.parametrize(
    ("error", "code", "advice"),
    [
        (ErrorCode.UNAUTHENTICATED, 3, "faces login"),
        (ErrorCode.FORBIDDEN, 3, "scope"),
        (ErrorCode.UNAVAILABLE, 4, "Try again"),
        (ErrorCode.UNKNOWN_COLLECTION, 6, "faces collections list"),
        (ErrorCode.INTERNAL, 1, "req-1"),
    ],
)
def test_every_refusal_says_what_to_do(
    shell: Shell, office: FakeOffice, photos: Path, error: ErrorCode, code: int, advice: str
) -> None:
    office.refuse = lambda _: problem(error)
    said = shell("identify", photos / "a.jpg")
    assert said.code == code
    assert advice in said.notes
    assert "Traceback" not in said.notes


def test_an_interruption_says_that_it_goes_on(
    shell: Shell, office: FakeOffice, photos: Path
) -> None:
    def interrupt(request: httpx.Request) -> None:
        if request.url.path == "/v1/collections":
            raise KeyboardInterrupt

    office.refuse = interrupt
    said = shell("collections", "list")
    assert said.code == 130
    assert "goes on where it stopped" in said.notes


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT interrupt, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_who_stops_the_command_does_not_wait_for_earlier_jobs(
    shell: Shell, office: FakeOffice, photos: Path
) -> None:
    def lose(asked: httpx.Request) -> httpx.Response | None:
        sent = any(job.photo for job in office.jobs.values())
        lost = sent and asked.url.path.startswith("/v1/batches/")
        return problem(ErrorCode.INTERNAL) if lost else None

    office.refuse = lose
    assert shell("identify", photos / "a.jpg").code == 1
    (job_id,) = (each for each in office.jobs if office.jobs[each].photo)
    view = {"job_id": job_id, "state": "queued", "submitted_at": "2026-01-02T03:04:05Z"}
    office.refuse = lambda asked: (
        httpx.Response(200, json=view) if asked.url.path.startswith("/v1/jobs/") else None
    )
    goes_on = threading.Event()

    def stop() -> None:
        time.sleep(0.3)  # the command waits by now
        os.kill(os.getpid(), signal.SIGINT)
        goes_on.wait(20)

    shell.on_sleep = stop
    started = time.monotonic()
    said = shell("identify", photos / "a.jpg")
    took = time.monotonic() - started
    goes_on.set()
    assert (said.code, took < 10) == (130, True)


def test_a_table_shows_what_was_answered_before_the_connection_was_lost(
    shell: Shell, office: FakeOffice, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        (folder / f"{number:03}.jpg").write_bytes(JPEG + str(number).encode())
    opened: list[httpx.Request] = []

    def lose(request: httpx.Request) -> None:
        if (request.method, request.url.path) == ("POST", "/v1/batches"):
            opened.append(request)
            if len(opened) > 1:
                raise httpx.ConnectError("reset")

    office.refuse = lose
    said = shell("identify", "--format", "table", folder)
    assert said.code == 4
    assert "Ann" in said.out


def test_a_folder_of_a_thousand_photos_is_answered_whole_and_goes_on_where_it_stopped(
    shell: Shell, office: FakeOffice, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(1000):
        (folder / f"{number:04}.jpg").write_bytes(JPEG + str(number).encode())

    def lose(request: httpx.Request) -> None:
        if office.uploads() > 600:
            raise httpx.ConnectError("reset")

    office.refuse = lose
    first = shell("identify", folder)
    assert first.code == 4
    before = office.uploads()
    office.refuse = lambda _: None
    said = shell("identify", folder)
    assert said.code == 0
    assert len({line["photo"] for line in said.lines}) == len(said.lines) == 1000
    assert len([job for job in office.jobs.values() if job.photo]) == 1000, "none is sent twice"
    assert office.uploads() - before < 500


def test_what_nobody_went_on_with_is_forgotten(
    shell: Shell, office: FakeOffice, photos: Path
) -> None:
    office.refuse = lambda asked: (
        problem(ErrorCode.INTERNAL) if asked.url.path.startswith("/v1/batches/") else None
    )
    for name in ("a.jpg", "b.JPG"):
        assert shell("identify", photos / name).code == 1
    (old, young) = journals(shell)
    month_ago = time.time() - 31 * 86_400
    os.utime(old, (month_ago, month_ago))
    office.refuse = lambda _: None
    assert shell("detect", photos / "a.jpg").code == 0
    assert journals(shell) == [young]
