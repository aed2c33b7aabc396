"""What the worker benchmark makes of its measurements; nothing is measured."""

import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import memory, worker
from benchmarks.worker import Rates
from benchmarks.worker_photos import ORIGINALS, SIZES, write_photos
from benchmarks.worker_plot import plot_rates


def test_the_ratio_is_of_the_medians() -> None:
    assert Rates(worker=[10, 60, 50], baseline=[5, 10, 90]).ratio == 5


def test_photos_have_the_sizes_they_are_named_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACES_TEST_DATA", raising=False)
    photos, what = write_photos(tmp_path)
    assert "FACES_TEST_DATA" in what
    assert set(photos) == {*SIZES, ORIGINALS}
    for name, size in SIZES.items():
        [file] = photos[name].iterdir()
        with Image.open(file) as photo:
            assert (photo.size, photo.format) == (size, "JPEG")


def test_figures_and_plot(tmp_path: Path) -> None:
    folder = tmp_path / "250x250"
    folder.mkdir()
    Image.new("RGB", (250, 250)).save(folder / "a.jpg")
    rates = Rates(worker=[60.0], default=[40.0], baseline=[10.0], one_core=[4.0], faces=1)
    gflops = {"f32": 400.0, "bf16": 800.0}
    rate, ratio, default, one_core, share = worker._figures(
        "250x250", rates, {"250x250": folder}, gflops
    )
    assert (rate.value, rate.baseline, rate.met) == (60, 10, None)
    assert (ratio.value, ratio.target, ratio.met) == (6, 5, True)
    assert (default.value, default.baseline, default.met) == (40, 10, None)
    assert (one_core.value, one_core.met) == (4, None)
    # 45,711 pixels of 3,606 operations at 400, one face at 800 GFLOP/s, 60 times a second.
    assert share.value == pytest.approx(60 * (0.000_412 + 0.003_544) * 100, rel=0.01)
    plot_rates({"250x250": rates}, "2 cores", tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 1000


def test_memory_that_grows_misses_its_target() -> None:
    steady = memory.figures([300.0, 350.0, 351.0], 440.0)
    assert all(figure.met for figure in steady)
    grown = memory.figures([300.0, 350.0, 440.0], 440.0)
    assert [figure.name for figure in grown if not figure.met] == ["end over middle"]
    high = memory.figures([300.0, 350.0, 351.0], 460.0)
    assert [figure.name for figure in high if not figure.met] == ["peak"]


def test_a_process_that_does_not_listen_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the benchmark is stopped in the middle of a measurement."""
    monkeypatch.setattr(worker, "_END_SECONDS", 0.1)
    busy = subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, text=True)
    process = worker.Process.__new__(worker.Process)
    process._process = busy
    process.end()
    assert busy.returncode == -signal.SIGKILL
