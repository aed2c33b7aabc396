"""Which backend is chosen, and where converted networks are kept; nothing is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gpu_worker.backends import converted
from gpu_worker.backends.base import ModelUnusableError, fast_min_face_px
from gpu_worker.backends.choice import BackendName, Wanted, choose, cuda_devices, load
from gpu_worker.backends.converted import cache_folder, ensure_converted


@pytest.mark.parametrize(
    ("wanted", "gpus", "openvino", "name", "reason"),
    [
        ("auto", 2, True, "cuda", "2 CUDA devices can be used"),
        ("auto", 1, False, "cuda", "1 CUDA device can be used"),
        ("auto", 0, True, "cpu", "there is no CUDA device"),
        ("auto", 0, False, "reference", "there is neither a CUDA device nor OpenVINO"),
        ("cpu", 1, True, "cpu", "WORKER_BACKEND says so"),
        ("reference", 1, True, "reference", "WORKER_BACKEND says so"),
    ],
)
def test_the_fastest_is_chosen_unless_told(
    wanted: Wanted, gpus: int, openvino: bool, name: BackendName, reason: str
) -> None:
    choice = choose(wanted, gpus=gpus, openvino=openvino)
    assert (choice.name, choice.reason) == (name, reason)


@pytest.mark.parametrize(("wanted", "word"), [("cuda", "CUDA"), ("cpu", "openvino")])
def test_what_is_missing_is_named(wanted: Wanted, word: str) -> None:
    with pytest.raises(ModelUnusableError, match=word):
        choose(wanted, gpus=0, openvino=False)


def test_a_device_that_torch_cannot_use_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the build of PyTorch for CPUs beside the driver of a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    choice = choose("auto", gpus=1, openvino=True)
    with pytest.raises(ModelUnusableError, match="WORKER_BACKEND=cpu"):
        load(choice, tmp_path / "none", tmp_path, threads=1, detection="exact")


def test_counting_devices_never_fails() -> None:
    assert cuda_devices() >= 0


def test_choosing_imports_neither_torch_nor_openvino() -> None:
    code = (
        "import sys, gpu_worker.backends.choice as c; c.cuda_devices(); c.has_openvino();"
        "sys.exit(bool({'torch', 'openvino'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_fast_detection_overlooks_small_faces_in_large_photos_only() -> None:
    assert fast_min_face_px(480, 640) == 20
    assert 60 <= fast_min_face_px(1920, 1080) < 60 * 1.42


def test_the_cache_can_be_set() -> None:
    assert cache_folder({"WORKER_CACHE": "/some/where"}) == Path("/some/where")
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/elastic-faces")
    assert cache_folder({}) == Path("~/.cache/elastic-faces").expanduser()


def test_other_weights_are_converted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, runs = tmp_path / "weights.pt", []

    def convert(of: Path, folder: Path) -> None:
        runs.append(of.read_bytes())
        folder.mkdir()

    monkeypatch.setattr(converted, "_convert", convert)
    weights.write_bytes(b"one")
    first = ensure_converted(weights, tmp_path / "cache")
    assert ensure_converted(weights, tmp_path / "cache") == first
    weights.write_bytes(b"two")
    assert ensure_converted(weights, tmp_path / "cache") != first
    assert runs == [b"one", b"two"]


def test_damaged_weights_are_named_and_leave_nothing_behind(tmp_path: Path) -> None:
    weights, cache = tmp_path / "weights.pt", tmp_path / "cache"
    weights.write_bytes(b"half a download")
    with pytest.raises(ModelUnusableError, match=r"weights\.pt"):
        ensure_converted(weights, cache)
    assert [path.name for path in cache.iterdir()] == ["networks.lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    weights, cache = tmp_path / "weights.pt", tmp_path / "cache"
    weights.write_bytes(b"weights")
    cache.write_bytes(b"a file where a folder should be")
    with pytest.raises(ModelUnusableError, match="WORKER_CACHE"):
        ensure_converted(weights, cache)
