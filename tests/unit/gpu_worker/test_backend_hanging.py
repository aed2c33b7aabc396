"""Edges that hang on rounding are found, and their exact place is."""

import tracemalloc

import numpy as np
import pytest
import torch

from gpu_worker.backends import mtcnn
from gpu_worker.backends.area import IntegralImage
from gpu_worker.backends.base import FloatArray
from gpu_worker.backends.device import decisions
from gpu_worker.backends.hanging import Referee, Traces, hanging
from gpu_worker.backends.precise import PreciseNets
from gpu_worker.backends.reference import load_mtcnn, mtcnn_weights
from tests.fixtures.photos import public_photo

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def precise() -> PreciseNets:
    return PreciseNets(mtcnn_weights(load_mtcnn(CPU)))


def noise(*shape: int) -> FloatArray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def exactly(name: str, pixels: FloatArray) -> FloatArray:
    """Return facenet-pytorch's offsets, computed in float64."""
    net = getattr(load_mtcnn(CPU), name).double()
    with torch.inference_mode():
        offsets = net(torch.from_numpy(pixels).permute(0, 3, 1, 2).double())[0]
    found: FloatArray = offsets.flatten(1).float().numpy()
    return found


def test_networks_in_float64(precise: PreciseNets) -> None:
    """A float64 sum in another order may round to the next float32, no further."""
    for side, name in ((24, "rnet"), (48, "onet")):
        pixels = noise(19, side, side, 3)
        found = getattr(precise, name)(pixels)
        np.testing.assert_array_max_ulp(found, exactly(name, pixels), maxulp=1)


def test_many_candidates_take_no_more_memory_than_few(precise: PreciseNets) -> None:
    pixels = noise(150, 48, 48, 3)
    tracemalloc.start()
    try:
        assert precise.onet(pixels).shape == (150, 4)
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("rows", "columns"), [(12, 12), (11, 12), (12, 11), (11, 11)])
def test_cells_where_a_level_ends(precise: PreciseNets, rows: int, columns: int) -> None:
    pixels = noise(12, 12, 3)
    pixels[rows:] = 0
    pixels[:, columns:] = 0
    expected = exactly("pnet", pixels[np.newaxis, :rows, :columns])
    np.testing.assert_array_max_ulp(
        precise.pnet(pixels, rows, columns)[np.newaxis], expected, maxulp=1
    )


def test_edges_close_to_a_whole_pixel_hang() -> None:
    boxes = np.array(
        [
            [10.5, 20.5, 30.5, 40.5],
            [10.5, 20.5, 30.5, 39.99999],
            [62.000015, 20.5, 130.5, 40.5],
            [62.001, 20.5, 130.5, 40.5],
            [-3.0, 0.5, 30.5, 40.5],
        ],
        dtype=np.float32,
    )
    assert hanging(boxes).tolist() == [1, 2, 4]
    assert decisions.hanging(torch.from_numpy(boxes)).tolist() == [1, 2, 4]


def test_the_referee_follows_a_candidate_through_all_networks(precise: PreciseNets) -> None:
    """Its boxes are those of a step by step calculation in float32, but for rounding."""
    image = public_photo("astronaut")[1:, :-1]
    height, width = image.shape[:2]
    levels = mtcnn.pyramid(height, width, 20)
    level, row, column = 4, 8, 17
    scale, rows, columns = levels[level]
    integral = IntegralImage(image)
    pixels = integral.resample(rows, columns, 0, rows)
    seen = pixels[2 * row : 2 * row + 12, 2 * column : 2 * column + 12]
    nets = load_mtcnn(CPU)

    def offsets(net: str, given: FloatArray) -> FloatArray:
        with torch.inference_mode():
            inputs = torch.from_numpy(given).permute(0, 3, 1, 2)
            found: FloatArray = getattr(nets, net)(inputs)[0].flatten(1).numpy()
        return found

    start = mtcnn.cells(np.array([row]), np.array([column]), scale)
    first = mtcnn.square(mtcnn.shift_cells(start, offsets("pnet", seen[np.newaxis])))
    cuts = mtcnn.clip(first, height, width)
    second = mtcnn.square(mtcnn.shift(first, offsets("rnet", integral.crops(cuts, 24))))
    later = mtcnn.clip(second, height, width)
    third = mtcnn.shift(second, offsets("onet", integral.crops(later, 48)))
    traces = Traces(np.array([[level, row, column]]), start, cuts)
    referee = Referee(precise, image, levels)
    for found, expected in (
        (referee.proposed(traces), first),
        (referee.refined(traces), second),
        (referee.final(traces, later), third),
    ):
        assert np.abs(found - expected).max() < 1e-3
