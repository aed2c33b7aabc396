"""The command: exit codes and what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gpu_worker.__main__ as command
from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.backends.choice import Choice
from gpu_worker.weights import FILE_NAME

ROOT = Path(__file__).resolve().parents[3]


def test_wrong_settings_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([], {"WORKER_BATCH_SIZE": "11"}) == 2
    said = capsys.readouterr().err
    assert "DATABASE_URL" in said
    assert "WORKER_BATCH_SIZE" in said
    assert len(said.strip().splitlines()) == 1


def test_missing_weights_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: Path) -> Path:
        raise ModelUnusableError(f"put them at {path}.")

    monkeypatch.setattr(command, "ensure_weights", missing)
    environ = {"TORCH_HOME": str(tmp_path), "DATABASE_URL": "postgresql://x"}
    for arguments in ([], ["--check-weights"], ["--prepare"]):
        assert command.main(arguments, environ) == 3
        said = capsys.readouterr().err
        assert said == f"put them at {tmp_path / 'checkpoints' / FILE_NAME}.\n"


def test_the_check_needs_no_settings_and_no_torch(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / FILE_NAME).touch()
    check = (
        "import sys, gpu_worker.__main__ as m\n"
        f"code = m.main(['--check-weights'], {{'TORCH_HOME': {str(tmp_path)!r}}})\n"
        "sys.exit(code or ('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_preparing_converts_what_the_weights_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "checkpoints" / FILE_NAME
    weights.parent.mkdir()
    weights.write_bytes(b"half a download")
    monkeypatch.setattr(command, "choose_here", lambda _: Choice("cpu", "of the test"))
    environ = {"TORCH_HOME": str(tmp_path), "WORKER_CACHE": str(tmp_path / "cache")}
    assert command.main(["--prepare"], environ) == 3
    assert str(weights) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"WORKER_THREADS": "1"}, "1"),
        ({"WORKER_THREADS": "0"}, None),
        ({}, None),
        ({"WORKER_THREADS": "1", "OPENBLAS_NUM_THREADS": "3"}, "3"),
    ],
)
def test_matrix_products_keep_to_the_threads_of_the_worker(
    given: dict[str, str], expected: str | None
) -> None:
    code = "import os, gpu_worker; print(os.environ.get('OPENBLAS_NUM_THREADS'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(expected)
