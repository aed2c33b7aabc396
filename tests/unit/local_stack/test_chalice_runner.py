"""Packages are built once, without what the Lambda runtime brings."""

import os
import time
from pathlib import Path

import pytest

from local_stack.chalice_runner import KeepingBuilder


class Pip:
    """Stands in for Chalice's own builder; counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, _abi: str, _requirements: str, target: str) -> None:
        self.runs += 1
        for name in ("botocore", "botocore-1.0.dist-info", "boto3", "s3transfer", "pydantic"):
            (Path(target) / name).mkdir()
            (Path(target) / name / "file").write_text(name)


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("pydantic==2\n")
    return path


def build(
    builder: KeepingBuilder, requirements: Path, target: Path, abi: str = "cp311"
) -> set[str]:
    target.mkdir()
    builder.build_site_packages(abi, str(requirements), str(target))
    return {path.name for path in target.iterdir()}


def test_the_second_build_runs_no_pip(tmp_path: Path, requirements: Path) -> None:
    pip = Pip()
    builder = KeepingBuilder(pip, tmp_path / "shelf")
    assert build(builder, requirements, tmp_path / "1") == {"pydantic"}
    assert build(builder, requirements, tmp_path / "2") == {"pydantic"}
    assert (tmp_path / "2" / "pydantic" / "file").read_text() == "pydantic"
    assert pip.runs == 1


@pytest.mark.parametrize("change", ["requirements", "abi", "constraints"])
def test_whatever_decides_on_versions_builds_anew(
    tmp_path: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("")
    monkeypatch.setenv("PIP_CONSTRAINT", str(constraints))
    pip = Pip()
    builder = KeepingBuilder(pip, tmp_path / "shelf")
    build(builder, requirements, tmp_path / "1")
    if change == "requirements":
        requirements.write_text("pydantic==3\n")
    if change == "constraints":
        constraints.write_text("pydantic==3\n")
    build(builder, requirements, tmp_path / "2", "cp312" if change == "abi" else "cp311")
    assert pip.runs == 2


def test_a_build_that_fails_leaves_nothing_to_reuse(tmp_path: Path, requirements: Path) -> None:
    def broken(_abi: str, _requirements: str, _target: str) -> None:
        raise OSError("no network")

    shelf = tmp_path / "shelf"
    with pytest.raises(OSError, match="no network"):
        build(KeepingBuilder(broken, shelf), requirements, tmp_path / "1")
    pip = Pip()
    build(KeepingBuilder(pip, shelf), requirements, tmp_path / "2")
    assert pip.runs == 1


def test_what_nobody_used_for_long_is_removed(tmp_path: Path, requirements: Path) -> None:
    shelf = tmp_path / "shelf"
    (shelf / "forgotten").mkdir(parents=True)
    (shelf / "recent").mkdir()
    long_ago = time.time() - 30 * 86_400
    os.utime(shelf / "forgotten", (long_ago, long_ago))
    build(KeepingBuilder(Pip(), shelf), requirements, tmp_path / "1")
    assert not (shelf / "forgotten").exists()
    assert (shelf / "recent").exists()
