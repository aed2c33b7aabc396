"""People, collections, jobs, keys, dead letters, export, bench, watch."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main

from faces.client.command.application import app
from faces.client.command.bench import Sample, summary
from faces.client.command.exits import MEANINGS, ExitCode
from faces.client.command.watch import sparkline
from faces.contracts.errors import ErrorCode
from faces.contracts.ids import new_id
from tests.unit.client.command.conftest import JPEG, Shell
from tests.unit.client.fake_office import FakeOffice
from tests.unit.client.fake_service import NOW, problem


def test_people_are_listed_and_searched(shell: Shell) -> None:
    assert [line["name"] for line in shell("people", "list").lines] == ["Ann", "Bob", "Zoë"]
    assert [line["name"] for line in shell("people", "list", "o").lines] == ["Bob", "Zoë"]
    nobody = shell("people", "list", "nobody")
    assert (nobody.code, nobody.out) == (0, "")


def test_a_person_is_shown_changed_merged_and_deleted(shell: Shell, office: FakeOffice) -> None:
    ann, bob = office.id_of("Ann"), office.id_of("Bob")
    assert shell("people", "show", ann).lines[0]["name"] == "Ann"
    assert len(shell("people", "faces", ann).lines) == 1
    changed = shell("people", "change", ann, "--name", "Ann B", "--email", "a@b.c")
    assert (changed.lines[0]["name"], changed.lines[0]["email"]) == ("Ann B", "a@b.c")
    assert "email" not in shell("people", "change", ann, "--email", "").lines[0]
    face = office.manage_face(bob)
    assert shell("people", "move-face", face, ann).code == 0
    assert shell("people", "delete-face", face, "--yes").code == 0
    assert shell("people", "merge", ann, bob, "--yes").lines[0]["faces"] == 2
    assert shell("people", "delete", ann, "--yes").code == 0
    assert shell("people", "show", ann).code == 6


def test_nothing_is_lost_without_being_asked(shell: Shell, office: FakeOffice) -> None:
    said = shell("people", "delete", office.id_of("Ann"))
    assert said.code == 2
    assert "--yes" in said.notes
    assert len(office.people) == 3


def test_a_person_is_made_before_there_is_a_face(shell: Shell) -> None:
    said = shell("people", "create", "Cleo", "--external-id", "7", "--birthdate", "1990-02-03")
    assert (said.code, said.lines[0]["faces"]) == (0, 0)
    assert shell("people", "create", "").code == 2


def test_a_change_of_nothing_is_refused(shell: Shell, office: FakeOffice) -> None:
    assert shell("people", "change", office.id_of("Ann")).code == 2
    assert shell("people", "change", office.id_of("Ann"), "--birthdate", "tomorrow").code == 2


def test_collections_keep_the_settings_that_are_not_given(shell: Shell) -> None:
    made = shell("collections", "create", "door", "--photos-seconds", "3600").lines[0]
    assert made["settings"]["retention"]["photos_seconds"] == 3600
    changed = shell("collections", "change", "door", "--threshold", "0.7").lines[0]
    assert changed["settings"]["threshold"] == 0.7
    assert changed["settings"]["retention"]["photos_seconds"] == 3600
    assert [line["collection"] for line in shell("collections", "list").lines] == ["office", "door"]
    assert shell("collections", "create", "door").code == 1
    assert shell("collections", "delete", "door", "-y").code == 0
    assert shell("collections", "delete", "door", "-y").code == 6
    assert shell("collections", "change", "door", "--threshold", "0.7").code == 6
    assert shell("collections", "create", "door", "--threshold", "7").code == 2


def test_jobs_are_listed_shown_awaited_and_deleted(
    shell: Shell, office: FakeOffice, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    job_id = shell("identify", tmp_path / "a.jpg").lines[0]["job_id"]
    assert shell("jobs", "show", job_id).lines[0]["state"] == "succeeded"
    assert shell("jobs", "wait", job_id).code == 0
    assert len(shell("jobs", "list").lines) == 2
    assert shell("jobs", "delete", job_id, "-y").code == 0
    assert shell("jobs", "show", job_id).code == 6
    failed = office._create_job({"kind": "identify"}).job_id
    assert shell("jobs", "wait", failed, "--timeout", "3").code == 7
    office.jobs[failed].photo = b"not a photo"
    said = shell("jobs", "wait", failed)
    assert (said.code, said.lines[0]["state"]) == (1, "failed")
    shell.watched = True
    assert "Ann, ?" not in shell("jobs", "list").out
    assert "0.25" in shell("jobs", "list").out


def test_keys_are_shown_once(shell: Shell) -> None:
    made = shell("keys", "create", "door", "-s", "recognise", "-s", "read")
    assert made.lines[0]["key"] == "fk_secret"
    assert "not shown again" in made.notes
    assert "fk_secret" not in shell("keys", "list").out
    assert shell("keys", "revoke", "k2", "-y").lines[0]["revoked_at"]
    assert shell("keys", "revoke", "k9", "-y").code == 6
    assert shell("keys", "create", "door", "-s", "everything").code == 2


def test_the_audit_log_is_read(shell: Shell) -> None:
    assert shell("audit", "--most", "5").lines[0]["action"] == "person.delete"


def test_dead_letters_are_read_and_redriven(shell: Shell, office: FakeOffice) -> None:
    job_id = str(office.letters[0].job_id)
    assert shell("dead-letters", "list").lines[0]["job_id"] == job_id
    assert shell("dead-letters", "show", job_id).lines[0]["body"] == "{}"
    assert shell("dead-letters", "show", new_id()).code == 6
    said = shell("dead-letters", "redrive", job_id, new_id())
    assert (said.code, len(said.lines)) == (5, 1)
    assert office.letters[0].redriven_at == NOW
    assert shell("dead-letters", "redrive").code == 2
    assert shell("dead-letters", "redrive", "--all").code == 2
    assert shell("dead-letters", "redrive", "--all", "--yes").out == ""


def test_a_collection_is_exported_and_imported(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "office.jsonl"
    assert shell("export", file, "-c", "office").lines[0]["people"] == 3
    assert shell("export", file).code == 1
    assert shell("export", file, "--force", "-c", "office").code == 0
    assert shell("import", file, "-c", "copy").lines[0]["people"] == 3
    file.write_text(file.read_text().replace("Ann", "Eve"))
    said = shell("import", file)
    assert said.code == 1
    assert "nothing of this file was imported" in said.notes
    assert shell("import", tmp_path / "gone").code == 6


def test_bench_measures_and_judges(shell: Shell, office: FakeOffice, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    said = shell("bench", tmp_path / "a.jpg", "-n", "20", "-u", "4")
    figures = said.lines[0]
    assert (said.code, figures["requests"], figures["failed"]) == (0, 20, 0)
    assert all(job.asked["params"] == {"cache": False} for job in office.jobs.values())

    def slow(request: httpx.Request) -> None:
        if request.url.host == "s3.test":
            shell.now += 2

    office.refuse = slow
    assert shell("bench", tmp_path / "a.jpg", "-n", "2", "-u", "1", "--most-p95", "1").code == 1
    office.refuse = lambda _: problem(ErrorCode.TOO_MANY_REQUESTS)
    said = shell("bench", tmp_path / "a.jpg", "-n", "2", "-u", "1")
    assert (said.code, said.lines[0]["failed"]) == (1, 2)
    assert "too_many_requests: 2" in said.notes


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    figures = summary([Sample(float(number)) for number in range(1, 101)], 50)
    assert (figures["p50_s"], figures["p95_s"], figures["p99_s"]) == (50, 95, 99)
    assert (figures["max_s"], figures["requests_per_s"]) == (100, 2)
    assert summary([Sample(3.0, "x")], 1)["p50_s"] == 3


def test_watch_looks_once_for_programs(shell: Shell) -> None:
    said = shell("watch", "--once")
    assert said.lines[0]["queues"]["waiting"] == 3
    assert "ready=1" in shell("watch", "--once", "-f", "csv").out


def test_watch_goes_on_until_it_is_stopped(shell: Shell, office: FakeOffice) -> None:
    shell.watched = True
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        waiting = office.operations.queues
        assert waiting is not None
        more = waiting.model_copy(update={"waiting": waiting.waiting + 10})
        at = office.operations.at + timedelta(seconds=2)
        office.operations = office.operations.model_copy(update={"queues": more, "at": at})
        if looks == 2:
            office.refuse = lambda _: problem(ErrorCode.UNAVAILABLE)
        if looks == 20:
            raise KeyboardInterrupt

    shell.on_sleep = look
    said = shell("watch")
    assert said.code == 130
    assert "app-tier-instance-1" in said.out
    assert "backlog" in said.out
    assert "looking again" in said.out


def test_watch_says_what_aws_does_not_tell(shell: Shell, office: FakeOffice) -> None:
    shell.watched = True
    office.operations = office.operations.model_copy(update={"queues": None, "fleet": None})
    assert shell("watch", "--once").out.count("AWS does not tell") == 2
    office.operations = office.operations.model_copy(update={"fleet": ()})
    assert "nothing runs while nobody asks" in shell("watch", "--once").out


def test_a_sparkline_reaches_its_top() -> None:
    assert sparkline([0, 1, 8]) == " ▁█"
    assert sparkline([0, 0]) == "  "


def test_every_exit_code_has_a_meaning_and_help_tells_it(shell: Shell) -> None:
    assert set(MEANINGS) == set(ExitCode)
    text = " ".join(shell("--help").notes.split())
    assert all(f"{code.value}: " in text for code in ExitCode)


def test_every_command_says_what_it_does() -> None:
    def walk(command: Any, name: str) -> None:
        assert command.help or command.short_help, name
        for child, each in getattr(command, "commands", {}).items():
            walk(each, f"{name} {child}")

    walk(typer.main.get_command(app), "faces")


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_a_shell_completes_the_commands(shell: Shell, shell_name: str) -> None:
    shell.environ |= {
        "_FACES_COMPLETE": f"complete_{shell_name}",
        "COMP_WORDS": "faces id",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "faces id",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert "identify" in shell().notes


def test_json_lines_are_one_document_a_line(shell: Shell) -> None:
    for line in shell("people", "list").out.splitlines():
        assert isinstance(json.loads(line), dict)
