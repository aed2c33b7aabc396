"""The folder that Chalice deploys from."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_stack.access import IN_NETWORK, Network
from local_stack.build import _LEFT_OUT, ROOT, Place, Project

PLACE = Place(stack="faces-x", stage="local", region="eu-west-1", account="123456789012")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with one package in it."""
    root = tmp_path / "source"
    package = root / "faces"
    for folder in ("__pycache__", "client", "contracts"):
        (package / folder).mkdir(parents=True)
        (package / folder / "module.py").write_text("x = 1\n")
    (package / "contracts" / "old.pyc").write_bytes(b"")
    (root / "app.py").write_text("app = None\n")
    (root / "requirements.txt").write_text("pydantic\n")
    (root / "vendor").mkdir()
    (root / "vendor" / "faces").symlink_to("../faces")
    settings = root / ".chalice"
    settings.mkdir()
    config = {
        "version": "2.0",
        "app_name": "${STACK}",
        "environment_variables": {"FACES_STACK": "${STACK}"},
        "stages": {"local": {"lambda_functions": {}}},
    }
    (settings / "config.json").write_text(json.dumps(config))
    statement = {"Resource": "arn:${PARTITION}:sqs:${REGION}:${ACCOUNT}:${STACK}-q"}
    policy = {"Statement": [statement], "Note": "${aws:username} ${STAGE}"}
    (settings / "policy-a.json").write_text(json.dumps(policy))
    return root


def settings(project: Project, name: str) -> Any:
    return json.loads((project.folder / ".chalice" / name).read_text())


def made(source: Path, tmp_path: Path, **options: Any) -> Project:
    project = Project(tmp_path / "build", source)
    project.make(PLACE, {"FACES_ID_SECRET": "s"}, **options)
    return project


def test_holds_the_code_without_caches_and_without_the_client(source: Path, tmp_path: Path) -> None:
    project = made(source, tmp_path)
    files = {
        str(path.relative_to(project.folder))
        for path in project.folder.rglob("*")
        if path.is_file()
    }
    assert files == {
        ".chalice/config.json",
        ".chalice/policy-a.json",
        "app.py",
        "requirements.txt",
        "vendor/faces/contracts/module.py",
    }


def test_holds_no_simulator() -> None:
    """It needs numpy and scipy, which no Lambda has."""
    left_out = {Path("scaler/simulate.py"), Path("scaler/simulator")}
    assert left_out <= _LEFT_OUT
    assert all((ROOT / path).exists() for path in left_out)


def test_a_file_that_the_repository_lost_is_gone_from_the_next_package(
    source: Path, tmp_path: Path
) -> None:
    made(source, tmp_path)
    (source / "faces" / "contracts" / "module.py").rename(source / "faces" / "moved.py")
    project = made(source, tmp_path)
    assert not (project.folder / "vendor/faces/contracts/module.py").exists()
    assert (project.folder / "vendor/faces/moved.py").exists()


def test_fills_in_the_place_and_leaves_variables_of_iam(source: Path, tmp_path: Path) -> None:
    project = made(source, tmp_path)
    policy = settings(project, "policy-a.json")
    assert policy["Statement"] == [{"Resource": "arn:aws:sqs:eu-west-1:123456789012:faces-x-q"}]
    assert policy["Note"] == "${aws:username} local"
    config = settings(project, "config.json")
    assert config["app_name"] == "faces-x"
    assert config["stages"]["local"]["environment_variables"] == {
        "FACES_STACK": "faces-x",
        "FACES_ID_SECRET": "s",
    }


def test_nobody_else_can_read_the_secrets(source: Path, tmp_path: Path) -> None:
    path = made(source, tmp_path).folder / ".chalice" / "config.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


NETWORK = Network(["subnet-1"], ["sg-1"], "db-1", "faces-x-cache", "arn:secret", "arn:key")


def test_in_a_network_are_the_functions_that_open_database_or_cache(tmp_path: Path) -> None:
    project = Project(tmp_path / "build", ROOT)
    project.make(PLACE, {}, NETWORK)
    stage = settings(project, "config.json")["stages"]["local"]
    assert stage["xray"] is True
    inside = {
        name
        for name, each in stage["lambda_functions"].items()
        if (each.get("subnet_ids"), each.get("security_group_ids")) == (["subnet-1"], ["sg-1"])
    }
    assert inside == IN_NETWORK

    def sids(function: str) -> set[str]:
        file = stage["lambda_functions"][function]["iam_policy_file"]
        return {each["Sid"] for each in settings(project, file)["Statement"]}

    login = {"LiveInVpc", "LogInToDatabase"}
    assert sids("api_handler") >= {*login, "LogInToCache", "SendTraces"}
    assert sids("migrate") == {
        *login,
        "WriteLogs",
        "SendTraces",
        "ReadMasterPassword",
        "DecryptMasterPassword",
    }
    assert not sids("webhook") & {*login, "LogInToCache", "ReadMasterPassword"}
    assert not sids("api_handler") & {"ReadMasterPassword", "DecryptMasterPassword"}


def test_any_other_stage_is_like_prod(tmp_path: Path) -> None:
    project = Project(tmp_path / "build", ROOT)
    project.make(replace(PLACE, stage="canary"), {"A": "1"})
    stages = settings(project, "config.json")["stages"]
    assert stages["canary"]["lambda_functions"] == stages["prod"]["lambda_functions"]
    assert "environment_variables" not in stages["prod"]
    assert stages["canary"]["tags"] == {"faces:stack": "faces-x"}


def test_keeps_what_chalice_remembers_until_told_to_forget(source: Path, tmp_path: Path) -> None:
    project = made(source, tmp_path)
    memory = project.folder / ".chalice" / "deployed"
    memory.mkdir()
    (memory / "local.json").write_text('{"resources": [{"name": "rest_api", "id": "a"}]}')
    project = made(source, tmp_path)
    assert project.deployed("local") == {"rest_api": {"name": "rest_api", "id": "a"}}
    assert project.deployed("prod") == {}
    project.forget("local")
    assert project.deployed("local") == {}


def test_a_memory_that_was_cut_off_counts_as_none(source: Path, tmp_path: Path) -> None:
    project = made(source, tmp_path)
    memory = project.folder / ".chalice" / "deployed"
    memory.mkdir()
    (memory / "local.json").write_text('{"resou')
    assert project.deployed("local") == {}


def test_keeps_the_two_newest_packages(source: Path, tmp_path: Path) -> None:
    project = made(source, tmp_path)
    packages = project.folder / ".chalice" / "deployments"
    packages.mkdir()
    for name, when in {"new": 30, "newest": 40, "old": 20, "older": 10}.items():
        path = packages / f"{name}.zip"
        path.write_bytes(b"")
        os.utime(path, (when, when))
    made(source, tmp_path)
    assert {path.stem for path in packages.iterdir()} == {"newest", "new"}


def test_the_repository_itself_makes_a_project(tmp_path: Path) -> None:
    project = Project(tmp_path / "build", ROOT)
    project.make(PLACE, {})
    assert (project.folder / "vendor/chalice_app").is_dir()
    assert not (project.folder / "vendor/faces/client").exists()
    assert not list(project.folder.rglob("__pycache__"))
    texts = "".join(path.read_text() for path in (project.folder / ".chalice").glob("*.json"))
    assert "${" not in texts
