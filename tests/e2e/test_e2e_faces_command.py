"""The `faces` command as a person runs it, against the local stack."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from docs import sample_photos
from faces.client import Client
from faces.contracts.jobs import JobState
from local_stack.settings import ROOT
from local_stack.stack import LocalStack
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.weights

Faces = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(stack: LocalStack, tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture
def faces(stack: LocalStack, environment: dict[str, str], tmp_path: Path) -> Faces:
    """Run the command, logged in by a stored key."""

    def run(*arguments: str | Path, **more: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "faces.client.command", *[str(each) for each in arguments]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            **more,
        )

    done = run("login", "--url", stack.url, "--key-stdin", input=stack.api_key + "\n")
    assert done.returncode == 0, done.stderr
    assert stack.api_key not in done.stdout + done.stderr
    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    sample_photos.main(folder)
    return folder


def test_the_script_is_installed_beside_the_local_stack() -> None:
    """`make up` and `make test` install it."""
    script = shutil.which("faces", path=str(Path(sys.executable).parent))
    assert script is not None, "run `make install-dev`"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_wrong_key_is_refused_with_its_exit_code(
    environment: dict[str, str], faces: Faces, stack: LocalStack
) -> None:
    environment |= {"FACES_URL": stack.url, "FACES_API_KEY": "wrong"}
    done = faces("people", "list")
    assert done.returncode == 3
    assert "faces login" in done.stderr


def test_people_are_enrolled_recognised_and_drawn(
    faces: Faces, photos: Path, tmp_path: Path
) -> None:
    place = ("--collection", "command")
    assert faces("enroll", "--person", "Eileen", *place, photos / "eileen-1.jpg").returncode == 0
    (photos / "broken.jpg").write_bytes(b"no photo at all")

    done = faces("identify", *place, "--draw", tmp_path / "drawn", photos)

    assert done.returncode == 5, done.stderr
    lines = {Path(line["photo"]).name: line for line in map(json.loads, done.stdout.splitlines())}
    assert lines["broken.jpg"]["error"]["code"] == "not_an_image"
    assert lines["coffee.png"]["result"]["faces"] == []
    for name in ("eileen-1.jpg", "eileen-2.jpg", "eileen-3.webp"):
        (face,) = lines[name]["result"]["faces"]
        assert face["match"]["name"] == "Eileen"
        with Image.open(tmp_path / "drawn" / name.replace(".webp", ".jpg")) as drawn:
            assert max(drawn.size) >= 640
    assert not (tmp_path / "drawn" / "broken.jpg").exists()


def test_killed_in_the_middle_it_goes_on_where_it_stopped(
    faces: Faces, photos: Path, environment: dict[str, str], tmp_path: Path, client: Client
) -> None:
    """Every photo is one job, although the command was killed without warning."""
    many = tmp_path / "many"
    many.mkdir()
    with Image.open(photos / "eileen-1.jpg") as astronaut:
        for number in range(24):
            astronaut.crop((0, 0, 400 + number, 512)).save(many / f"{number:02d}.jpg")
    command = [sys.executable, "-m", "faces.client.command", "detect", "--at-once", "2", str(many)]
    started = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    runs = tmp_path / ".local/state/faces/runs"

    def some_answered() -> list[Path]:
        text = "".join(each.read_text() for each in runs.glob("*.jsonl"))
        return list(runs.glob("*.jsonl")) if text.count('"answer"') >= 3 else []

    (journal,) = eventually(some_answered, "some photos were answered", 90)
    started.send_signal(signal.SIGKILL)
    started.wait()
    opened = [line["job_id"] for line in map(json.loads, whole_lines(journal)) if "job_id" in line]
    sent = {each for each in opened if client.job(each).state is not JobState.AWAITING_UPLOAD}
    assert len(sent) >= 3

    done = faces("detect", "--at-once", "4", many)

    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({line["photo"] for line in lines}) == len(lines) == 24
    assert all(len(line["result"]["faces"]) == 1 for line in lines)
    assert sent <= {line["job_id"] for line in lines}, "what was sent was not sent again"
    assert not journal.exists()


def whole_lines(journal: Path) -> list[str]:
    """Return the lines that were written to their end."""
    return [line for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]


def test_queue_fleet_and_load(faces: Faces, photos: Path) -> None:
    done = faces("bench", photos / "eileen-1.jpg", "-n", "6", "-u", "2")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["failed"] == 0
    view = json.loads(faces("watch", "--once").stdout)
    assert view["fleet"]
    assert view["queues"]["dead"] == 0
    assert faces("jobs", "list", "--most", "3").stdout.count("\n") == 3
    assert faces("dead-letters", "list").returncode == 0


def test_a_collection_is_moved(faces: Faces, photos: Path, tmp_path: Path) -> None:
    place = ("--collection", "moved")
    faces("enroll", "--person", "Eileen", *place, photos / "eileen-1.jpg")
    assert faces("export", tmp_path / "moved.jsonl", *place).returncode == 0
    assert faces("collections", "delete", "moved", "--yes").returncode == 0
    done = faces("import", tmp_path / "moved.jsonl", *place)
    assert (done.returncode, json.loads(done.stdout)["faces"]) == (0, 1)
    found = faces("identify", *place, "--require-match", photos / "eileen-2.jpg")
    assert found.returncode == 0, found.stdout + found.stderr
