"""`up`, `down` and `demo` as a user runs them, also after a crash of any part."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from faces.client import Client
from faces.client.photos import Photo
from faces.contracts.jobs import ContentType
from gpu_worker.weights import FILE_NAME
from local_stack.settings import ROOT
from tests.e2e.local_commands import Commands, kill
from tests.e2e.waiting import eventually


@pytest.fixture(scope="module")
def commands(
    environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Commands]:
    """A stack of its own without workers, which is down again at the end."""
    idle = {**environ, "SCALER_MIN_INSTANCES": "0"}
    made = Commands.on_free_ports(tmp_path_factory.mktemp("commands"), idle)
    yield made
    made.run("down")
    assert made.left_over() == []


@pytest.fixture
def up(commands: Commands) -> Commands:
    """The same stack, up."""
    done = commands.run("up")
    assert done.returncode == 0, done.stdout + done.stderr
    return commands


def answers(commands: Commands) -> None:
    """Assert that the API answers, down to S3's upload form."""
    with Client(commands.settings.url, commands.api_key()) as client:
        assert client.health()["status"] == "ok"
        created = client.submit(Photo(b"", ContentType.JPEG))
        assert client.job(created.job_id).state == "awaiting_upload"


def test_up_answers_and_down_leaves_nothing(up: Commands) -> None:
    answers(up)
    again = up.run("up")
    assert again.returncode == 0
    assert "already up" in again.stdout
    assert up.run("status").returncode == 0

    assert up.run("down").returncode == 0
    assert up.left_over() == []
    assert up.run("status").returncode == 3
    assert up.run("down").returncode == 0


def test_a_port_in_use_is_named(commands: Commands) -> None:
    commands.run("down")
    port = commands.settings.front_door_port
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        done = commands.run("up")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert str(port) in said
    assert "FRONT_DOOR_PORT" in said
    assert commands.left_over() == []


def test_a_wrong_setting_is_named(commands: Commands) -> None:
    wrong = Commands(commands.settings, {**commands.environ, "SCALER_MAX_INSTANCES": "many"})
    done = wrong.run("up")
    assert done.returncode == 1
    assert "SCALER_MAX_INSTANCES" in done.stdout + done.stderr


@pytest.mark.parametrize("part", ["supervisor", "AWS emulator", "database"])
def test_after_a_kill_of_one_part_down_and_up_work(up: Commands, part: str) -> None:
    kill_then_down_and_up(up, part)


def test_after_a_kill_of_all_that_others_start_down_and_up_work(commands: Commands) -> None:
    commands.run("down")
    with_worker = Commands(commands.settings, {**commands.environ, "SCALER_MIN_INSTANCES": "1"})
    assert with_worker.run("up").returncode == 0
    kill_then_down_and_up(with_worker, "worker", "Valkey", "EC2 emulator", "front door")


def kill_then_down_and_up(commands: Commands, *parts: str) -> None:
    def pids() -> list[int] | None:
        known = commands.pids()
        return [known[part] for part in parts] if known.keys() >= set(parts) else None

    for pid in eventually(pids, f"{', '.join(parts)} run", 120):
        kill(pid)
    down = commands.run("down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert commands.left_over() == []
    started = commands.run("up")
    assert started.returncode == 0, started.stdout + started.stderr
    answers(commands)


def test_the_demo_is_right_and_leaves_nothing(commands: Commands) -> None:
    commands.run("down")
    demo = Commands(commands.settings, {**commands.environ, "SCALER_MIN_INSTANCES": "1"})
    done = demo.run("demo", seconds=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"All \d+ answers are right", done.stdout)
    assert list((ROOT / ".local" / "demo").glob("*.jpg"))
    assert not list((ROOT / ".local" / "demo").glob("state-*"))
    assert commands.left_over() == []


def test_missing_weights_are_said_in_one_sentence(commands: Commands, tmp_path: Path) -> None:
    nowhere = {"TORCH_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    done = Commands(commands.settings, {**commands.environ, **nowhere}).run("demo")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert FILE_NAME in said
    assert str(tmp_path / "checkpoints") in said.replace("\n", "")
    assert "Traceback" not in said
