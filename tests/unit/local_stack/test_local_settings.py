"""The local stack's settings, its secrets, and what it hands on."""

import socket
import stat
from pathlib import Path

import pytest

from faces.contracts.settings import SettingsError
from local_stack.service import LocalStackError
from local_stack.settings import ROOT, LocalSettings, Secrets, write_private


def test_the_defaults_are_those_of_the_design() -> None:
    settings = LocalSettings.load({})
    assert settings.url == "http://127.0.0.1:8000"
    assert settings.endpoint_url == "http://127.0.0.1:4566"
    assert settings.front_door_concurrency == 16
    assert settings.boot_seconds == 3
    assert settings.handed_on["SCALER_MIN_INSTANCES"] == "1"
    assert settings.handed_on["WORKER_IDLE_SECONDS"] == "300"
    assert settings.handed_on["FACES_PUBLIC_URL"] == settings.url


def test_converted_networks_stay_in_the_project() -> None:
    assert Path(LocalSettings.load({}).handed_on["WORKER_CACHE"]).is_relative_to(ROOT)
    assert LocalSettings.load({"WORKER_CACHE": "/x"}).handed_on["WORKER_CACHE"] == "/x"


def test_what_lambdas_and_workers_read_is_handed_on() -> None:
    given = {
        "SCALER_MIN_INSTANCES": "2",
        "WORKER_IDLE_SECONDS": "60",
        "FACES_FALSE_ACCEPT_RATE": "0.05",
        "TORCH_HOME": "/weights",
        "FACES_UPLOAD_SECONDS": "",
    }
    handed_on = LocalSettings.load(given).handed_on
    assert {name: handed_on.get(name) for name in given} == {**given, "FACES_UPLOAD_SECONDS": None}


def test_what_only_clients_and_tests_read_stays_here() -> None:
    given = {
        "FACES_API_KEY": "key",
        "FACES_URL": "http://elsewhere",
        "FACES_TEST_DATA": "/data",
        "HOME": "/root",
        "AWS_PROFILE": "prod",
    }
    assert not given.keys() & LocalSettings.load(given).handed_on.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRONT_DOOR_PORT", "front"),
        ("EMULATOR_PORT", "70000"),
        ("LOCAL_BOOT_SECONDS", "-1"),
        ("SCALER_MAX_INSTANCES", "many"),
        ("WORKER_BATCH_SIZE", "11"),
        ("FACES_UPLOAD_SECONDS", "1"),
        ("FACES_STACK", "Upper"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        LocalSettings.load({name: value})


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    settings = LocalSettings.ephemeral(tmp_path, {})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.ec2_port))
        taken.listen()
        with pytest.raises(LocalStackError, match=rf"{settings.ec2_port}.*EC2_PORT=") as error:
            settings.require_free_ports()
    assert "EC2 emulator" in str(error.value)
    settings.require_free_ports()


def test_one_port_for_two_parts_is_refused(tmp_path: Path) -> None:
    settings = LocalSettings.ephemeral(tmp_path, {})
    port = settings.ec2_port
    settings = settings.model_copy(update={"valkey_port": port})
    with pytest.raises(LocalStackError, match=f"VALKEY_PORT and EC2_PORT are both {port}"):
        settings.require_free_ports()


def test_an_ephemeral_stack_has_ports_and_a_folder_of_its_own(tmp_path: Path) -> None:
    settings = LocalSettings.ephemeral(tmp_path, {"FRONT_DOOR_PORT": "8000"})
    ports = [value for key, value in settings.model_dump().items() if key.endswith("_port")]
    assert len(set(ports)) == 5
    assert 8000 not in ports
    assert settings.state_dir == tmp_path


def test_the_region_of_the_shell_does_not_matter() -> None:
    assert LocalSettings.load({"AWS_REGION": "eu-west-1"}).region == "us-east-1"


def test_no_secret_is_shown() -> None:
    settings = LocalSettings.load(
        {"FACES_API_KEY": "hush", "DATABASE_URL": "postgresql://u:hush@h/d"}
    )
    assert "hush" not in repr(settings)


def test_secrets_are_made_once_and_only_for_the_owner(tmp_path: Path) -> None:
    made = Secrets.load_or_make(tmp_path)
    assert Secrets.load_or_make(tmp_path) == made
    assert len(made.id_secret) >= 32
    assert len({made.api_key, made.id_secret, made.database_password}) == 3
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert made.api_key not in repr(made)
    assert Secrets.load_or_make(tmp_path / "other") != made


@pytest.mark.parametrize("text", ["", "{", "[]", '{"api_key": "only"}'])
def test_damaged_secrets_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "secrets.json").write_text(text)
    with pytest.raises(LocalStackError, match=r"secrets\.json is damaged"):
        Secrets.load_or_make(tmp_path)


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
