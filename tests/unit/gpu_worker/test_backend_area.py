"""Resampling from the integral image against PyTorch's, to the last bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from gpu_worker.backends.area import IntegralImage
from gpu_worker.backends.base import FloatArray, RgbImage


def photo(height: int, width: int, seed: int, bright: bool = False) -> RgbImage:
    low = 250 if bright else 0
    rng = np.random.default_rng(seed)
    return rng.integers(low, 256, (height, width, 3), dtype=np.uint8)


def torch_area(image: RgbImage, height: int, width: int) -> FloatArray:
    values = torch.from_numpy(image.copy())[None].permute(0, 3, 1, 2).float()
    means = interpolate(values, size=(height, width), mode="area")
    standardised: FloatArray = ((means - 127.5) * 0.0078125)[0].permute(1, 2, 0).numpy()
    return standardised


@settings(max_examples=60, deadline=None)
# A single output is another function in torch; levels have twelve and more.
@given(st.integers(1, 120), st.integers(1, 120), st.integers(2, 90), st.integers(2, 90), st.data())
def test_levels_are_torchs(
    height: int, width: int, to_height: int, to_width: int, data: st.DataObject
) -> None:
    image = photo(height, width, data.draw(st.integers(0, 99)))
    first = data.draw(st.integers(0, to_height - 1))
    end = data.draw(st.integers(first + 1, to_height))
    made = IntegralImage(image).resample(to_height, to_width, first, end)
    assert np.array_equal(made, torch_area(image, to_height, to_width)[first:end])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 150), st.integers(2, 150), st.sampled_from([24, 48]), st.data())
def test_crops_are_torchs(height: int, width: int, side: int, data: st.DataObject) -> None:
    image = photo(height, width, 1)
    boxes = []
    for _ in range(3):
        left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        right = data.draw(st.integers(left + 1, width))
        boxes.append((left, top, right, data.draw(st.integers(top + 1, height))))
    made = IntegralImage(image).crops(np.array(boxes), side)
    for crop, (left, top, right, bottom) in zip(made, boxes, strict=True):
        assert np.array_equal(crop, torch_area(image[top:bottom, left:right], side, side))


@pytest.mark.parametrize("shape", [(1500, 1100), (300, 12_000)])
def test_windows_that_overflow_a_field_are_summed_in_parts(shape: tuple[int, int]) -> None:
    image = photo(*shape, seed=2, bright=True)
    integral = IntegralImage(image)
    assert np.array_equal(integral.resample(12, 12, 0, 12), torch_area(image, 12, 12))
    whole = np.array([[0, 0, shape[1], shape[0]]])
    assert np.array_equal(integral.crops(whole, 24)[0], torch_area(image, 24, 24))


def test_no_crops() -> None:
    empty = np.empty((0, 4), dtype=np.int64)
    assert IntegralImage(photo(5, 5, 0)).crops(empty, 24).shape == (0, 24, 24, 3)
