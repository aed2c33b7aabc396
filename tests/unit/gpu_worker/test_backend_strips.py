"""What is read from a photo strip by strip is what is read from all of it, to the last bit."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_worker.backends import strips
from gpu_worker.backends.area import IntegralImage
from gpu_worker.backends.base import RgbImage
from gpu_worker.backends.mosaic import spans
from gpu_worker.backends.strips import PhotoSums

monkeypatch_is_not_reset = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "WHOLE_PX", 0)
    monkeypatch.setattr(strips, "_STRIP_BYTES", 1 << 10)
    monkeypatch.setattr(strips, "_CROP_ROWS", 7)


def photo(height: int, width: int, low: int = 0) -> RgbImage:
    rng = np.random.default_rng(height * width)
    return rng.integers(low, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.usefixtures("in_strips")
@monkeypatch_is_not_reset
@given(
    st.integers(1, 90),
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(1, 80), st.integers(1, 40)), max_size=4),
    st.integers(11, 40),
)
def test_bands(height: int, width: int, sizes: list[tuple[int, int]], room: int) -> None:
    image = photo(height, width)
    cuts = [[(start, start + rows) for start, rows in spans(down, room)] for down, _ in sizes]
    asked = [(*size, bands) for size, bands in zip(sizes, cuts, strict=True)]
    found = {}
    for level, band, pixels in PhotoSums(image).bands(asked):
        top, end = cuts[level][band]
        expected = IntegralImage(image).resample(*sizes[level], top, end)
        assert np.array_equal(pixels, expected)
        found[level, band] = True
    assert len(found) == sum(map(len, cuts))


@pytest.mark.usefixtures("in_strips")
@monkeypatch_is_not_reset
@given(st.integers(2, 150), st.integers(2, 150), st.integers(0, 9), st.data())
def test_crops(height: int, width: int, count: int, data: st.DataObject) -> None:
    image, boxes = photo(height, width), []
    for _ in range(count):
        left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        right = data.draw(st.integers(left + 1, width))
        boxes.append((left, top, right, data.draw(st.integers(top + 1, height))))
    asked = np.array(boxes, dtype=np.int64).reshape(-1, 4)
    made = list(PhotoSums(image).crops(asked, 24, batch=4))
    assert [len(part) for part in made] == [min(4, count - n) for n in range(0, count, 4)]
    if made:
        assert np.array_equal(np.concatenate(made), IntegralImage(image).crops(asked, 24))


@pytest.mark.usefixtures("in_strips")
def test_few_crops_are_summed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    image, boxes = photo(300, 200), np.array([[3, 4, 50, 60], [100, 90, 101, 91]])
    photo_sums = PhotoSums(image)
    monkeypatch.setattr(strips, "WHOLE_PX", 10_000)
    monkeypatch.setattr(PhotoSums, "_crops_by_strips", None)
    [made] = photo_sums.crops(boxes, 48, batch=8)
    assert np.array_equal(made, IntegralImage(image).crops(boxes, 48))


@pytest.mark.usefixtures("in_strips")
def test_windows_that_overflow_a_field_are_summed_in_parts() -> None:
    image = photo(1500, 1100, low=250)
    [(_, _, pixels)] = PhotoSums(image).bands([(12, 12, [(0, 12)])])
    assert np.array_equal(pixels, IntegralImage(image).resample(12, 12, 0, 12))


def test_memory_of_a_large_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 megapixels would take 800 MB at once."""
    rooms: list[int] = []

    class Counted(IntegralImage):
        def __init__(self, image: RgbImage, room: int | None = None) -> None:
            rooms.append(room or image.shape[0])
            raise StopIteration

    monkeypatch.setattr(strips, "IntegralImage", Counted)
    levels = [(3001, 3001, [(0, 3001)]), (12, 12, [(0, 12)])]
    for height, width in pairwise((10_000, 10_000, 4000, 3000)):
        sums = PhotoSums(np.empty((height, width, 3), dtype=np.uint8))
        with pytest.raises(RuntimeError, match="StopIteration"):
            next(sums.bands(levels))
        assert rooms.pop() * (width + 1) * 8 <= max(17 << 20, height * width * 8 / 9)
    assert not rooms
