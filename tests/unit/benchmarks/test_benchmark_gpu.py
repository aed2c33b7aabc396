"""The GPU benchmark measures what it says, tried on the CPU with next to nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu import photos_of_one_face, weights_or_made_up
from benchmarks.gpu_decode import decoders
from benchmarks.gpu_effort import Effort, people, per_second
from benchmarks.gpu_line import Line
from benchmarks.gpu_parts import search
from benchmarks.gpu_whole import whole_figures
from gpu_worker.backends.base import EMBEDDING_SIZE
from gpu_worker.backends.device.detector import _PLAIN_CALLS, DeviceDetector
from gpu_worker.backends.device.nearest import DeviceRows
from gpu_worker.index import CollectionIndex
from gpu_worker.sizes import on_gpu
from tests.fixtures.worker_fakes import FakeEmbedder

CPU = torch.device("cpu")
TINY = Effort(20, (30,), 4, 0.01, (1,), (1,))


def test_the_line_recognises_every_photo() -> None:
    """The worker's stages with the device's detector; five photos, more than a canvas's batch."""
    photos, _ = photos_of_one_face()
    index = CollectionIndex(DeviceRows(CPU))
    embedder = FakeEmbedder()
    for number, vector in enumerate(people(20)):
        index.put(f"f{number}", f"p{number}", vector)
    line = Line(DeviceDetector(CPU), embedder, index, on_gpu(1))
    try:
        tasks = line.run(photos, 5)
    finally:
        line.close()
    assert len({task.job.job_id for task in tasks}) == 5
    assert [len(task.picked) for task in tasks] == [1] * 5
    assert len(line.answers) == 5
    assert embedder.embedded == 5
    assert set(line.clock.seconds) == {"decode", "detect", "crop", "embed", "match"}


def test_rates_count_items() -> None:
    calls: list[int] = []
    rate = per_second(calls.append, 1000, 0.01)
    first = calls.index(0, 1)  # which is measured
    assert calls[:first] == list(range(first))
    assert first > _PLAIN_CALLS
    assert rate > 1000


def test_search_is_held_against_the_host() -> None:
    figures = search(CPU, TINY)
    assert [figure.name.rsplit(" ", 1)[1] for figure in figures] == ["1", "32", "256"]
    assert all(figure.value > 0 and figure.baseline for figure in figures)


def test_targets_are_those_of_one_kind_of_gpu() -> None:
    with_targets, without = (whole_figures(2500, 100, 4, each, 100_000) for each in (True, False))
    assert [figure.met for figure in with_targets] == [True, True]
    assert [figure.met for figure in without] == [None, None]
    assert with_targets[1].value == 25


def test_missing_weights_are_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    path, made_up = weights_or_made_up(tmp_path)
    assert made_up
    from gpu_worker.backends.device.embedder import DeviceEmbedder

    embedder = DeviceEmbedder(path, CPU, torch.float32, batches=(1,))
    [vector] = embedder.embed([np.zeros((160, 160, 3), dtype=np.uint8)])
    assert vector.shape == (EMBEDDING_SIZE,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_without_a_gpu_none_decodes() -> None:
    assert decoders(CPU) == {}
