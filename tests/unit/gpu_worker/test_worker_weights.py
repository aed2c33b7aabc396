"""Missing weights are fetched, or reported at once in one sentence."""

import io
import threading
from pathlib import Path

import pytest

from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.weights import FILE_NAME, URL, ensure_weights, weights_path


def test_where_the_weights_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert weights_path({"TORCH_HOME": "/t"}) == Path("/t/checkpoints", FILE_NAME)
    assert weights_path({"XDG_CACHE_HOME": "/c"}) == Path("/c/torch/checkpoints", FILE_NAME)
    assert weights_path({"TORCH_HOME": ""}) == Path("/home/ann/.cache/torch/checkpoints", FILE_NAME)


def test_a_file_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.touch()

    def refuse(_: str) -> io.BytesIO:
        raise AssertionError("no need to connect")

    assert ensure_weights(file, open_url=refuse) == file


def test_a_missing_file_is_downloaded(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints" / FILE_NAME

    def serve(url: str) -> io.BytesIO:
        assert url == URL
        return io.BytesIO(b"w" * 3_000_000)

    ensure_weights(file, open_url=serve)
    assert file.read_bytes() == b"w" * 3_000_000
    assert list(file.parent.iterdir()) == [file]


def test_without_a_network_the_file_and_its_place_are_named(tmp_path: Path) -> None:
    def refuse(_: str) -> io.BytesIO:
        raise OSError("no route to host")

    file = tmp_path / FILE_NAME
    with pytest.raises(ModelUnusableError) as caught:
        ensure_weights(file, open_url=refuse)
    assert str(file) in str(caught.value)
    assert "no route to host" in str(caught.value)


def test_a_network_that_never_answers_is_given_up(tmp_path: Path) -> None:
    release = threading.Event()

    def hang(_: str) -> io.BytesIO:
        release.wait()
        raise OSError

    try:
        with pytest.raises(ModelUnusableError, match="no answer within"):
            ensure_weights(tmp_path / FILE_NAME, open_url=hang, connect_seconds=0.05)
    finally:
        release.set()


def test_a_download_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    class Breaking(io.BytesIO):
        def read(self, amount: int | None = -1, /) -> bytes:
            if self.tell() > 0:
                raise ConnectionResetError("peer went away")
            return super().read(amount)

    with pytest.raises(ModelUnusableError, match="peer went away"):
        ensure_weights(tmp_path / FILE_NAME, open_url=lambda _: Breaking(b"w" * 2_000_000))
    assert list(tmp_path.iterdir()) == []
