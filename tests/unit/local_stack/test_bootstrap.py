"""Installations are done once, whole, and say what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from local_stack import bootstrap


class Pip:
    """Notes what would be installed; fails on demand."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.fails = False

    def __call__(self, venv: Path, *arguments: str) -> None:
        self.calls.append(arguments)
        if self.fails and "-r" in arguments:
            raise SystemExit("pip failed")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    made = Pip()
    monkeypatch.setattr(bootstrap, "pip", made)
    return made


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a virtual environment."""
    folder = tmp_path / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    monkeypatch.setattr(bootstrap, "usable", lambda each: (each / "bin" / "python").exists())
    return folder


INSTALL = [["-r", "some.txt"]]


def test_a_second_run_does_nothing(pip: Pip, venv: Path) -> None:
    bootstrap.ensure(venv, "demo", "hash", INSTALL)
    assert pip.calls == [("install", "-q", bootstrap.PIP), ("install", "-q", "-r", "some.txt")]
    pip.calls.clear()
    bootstrap.ensure(venv, "demo", "hash", INSTALL)
    assert pip.calls == []


def test_changed_requirements_are_installed(pip: Pip, venv: Path) -> None:
    bootstrap.ensure(venv, "demo", "hash", INSTALL)
    pip.calls.clear()
    bootstrap.ensure(venv, "demo", "another hash", INSTALL)
    assert pip.calls


def test_dev_is_enough_for_the_demo_but_not_the_other_way(pip: Pip, venv: Path) -> None:
    bootstrap.ensure(venv, "dev", "hash", INSTALL)
    pip.calls.clear()
    bootstrap.ensure(venv, "demo", "hash", INSTALL)
    assert pip.calls == []
    (venv / ".installed-dev").rename(venv / ".installed-demo")
    bootstrap.ensure(venv, "dev", "hash", INSTALL)
    assert pip.calls


def test_an_installation_that_failed_is_done_again(pip: Pip, venv: Path) -> None:
    bootstrap.ensure(venv, "demo", "hash", INSTALL)
    pip.fails = True
    with pytest.raises(SystemExit):
        bootstrap.ensure(venv, "demo", "another hash", INSTALL)
    assert not list(venv.glob(".installed-*"))
    pip.fails = False
    pip.calls.clear()
    # The earlier hash no longer counts either: the environment is half of one, half another.
    bootstrap.ensure(venv, "demo", "hash", INSTALL)
    assert pip.calls


def test_an_environment_whose_python_is_gone_is_made_anew(
    pip: Pip, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.ensure(venv, "demo", "hash", INSTALL)
    (venv / "bin" / "python").unlink()
    (venv / "half-made").touch()
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        commands.append(command)
        (venv / "bin").mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    bootstrap.ensure(venv, "demo", "hash", INSTALL)
    assert commands == [[sys.executable, "-m", "venv", str(venv)]]
    assert not (venv / "half-made").exists()


@pytest.mark.parametrize(
    "output",
    [
        "The virtual environment was not created successfully because ensurepip is not\navailable.",
        "/usr/bin/python3: No module named venv",
        "Error: Command '[...'-m', 'ensurepip', ...]' returned non-zero exit status 1.",
    ],
)
def test_a_python_without_ensurepip_says_what_to_install(output: str) -> None:
    said = bootstrap.why_no_venv(output)
    assert f"python{sys.version_info.major}.{sys.version_info.minor}-venv" in said
    assert "PYTHON=" in said


def test_another_failure_is_shown_as_it_is() -> None:
    assert "No space left" in bootstrap.why_no_venv("OSError: No space left on device")


def test_pip_failures_are_shown_and_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit, match="run the same command again"):
        bootstrap.pip(tmp_path / ".venv", "install", "torch")
    assert "No matching distribution" in capsys.readouterr().out


def test_an_old_python_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed"):
        bootstrap.main(["demo"])


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(SystemExit, match="unknown set"):
        bootstrap.main(["everything"])
