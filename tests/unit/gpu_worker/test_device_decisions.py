"""What the device backend decides and resamples is what the CPU backend does, to the last bit."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_worker.backends import mtcnn
from gpu_worker.backends.area import IntegralImage
from gpu_worker.backends.base import FloatArray, RgbImage
from gpu_worker.backends.device import decisions
from gpu_worker.backends.device.graphs import Replay, Replays, Work, at_least
from gpu_worker.backends.device.nearest import DeviceRows
from gpu_worker.backends.device.pixels import IntegralImages, Photos, integrate, windows
from gpu_worker.halves import WIDENING_ERROR, HalfRows, widen
from gpu_worker.nearest import HostRows, NearestRows

CPU = torch.device("cpu")


def boxes_of(count: int, seed: int) -> FloatArray:
    draw = np.random.default_rng(seed)
    corner = draw.uniform(-5, 60, (count, 2))
    size = draw.uniform(1, 40, (count, 2))
    found: FloatArray = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    return found


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    seed=st.integers(0, 999),
    threshold=st.sampled_from([0.3, 0.5, 0.7]),
)
def test_suppression_within_groups(counts: list[int], seed: int, threshold: float) -> None:
    boxes = boxes_of(sum(counts), seed)
    # Few different scores, so that many are equal.
    scores = np.random.default_rng(seed).integers(0, 6, len(boxes)).astype(np.float32)
    groups = np.repeat(np.arange(len(counts)), counts)
    shuffled = np.random.default_rng(seed + 1).permutation(len(groups))
    groups = groups[shuffled]
    expected = [
        members[mtcnn.nms(boxes[members], scores[members], threshold)]
        for group in range(len(counts))
        for members in [np.flatnonzero(groups == group)]
    ]
    ours, theirs, groups_of = map(torch.from_numpy, (boxes, scores, groups))
    found = decisions.suppress(ours, theirs, groups_of, len(counts), threshold)
    assert found.tolist() == np.concatenate(expected).tolist()


def test_suppression_of_more_boxes_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_BLOCK", 16)
    boxes = boxes_of(300, 5)
    scores = np.random.default_rng(6).random(300).astype(np.float32)
    groups = torch.arange(300) % 2
    ours, theirs = map(torch.from_numpy, (boxes, scores))
    found = decisions.suppress(ours, theirs, groups, 2, 0.3)
    for group in (0, 1):
        members = np.arange(group, 300, 2)
        expected = members[mtcnn.nms(boxes[members], scores[members], 0.3)]
        assert [each for each in found.tolist() if each % 2 == group] == expected.tolist()


def test_box_arithmetic_is_the_same_to_the_last_bit() -> None:
    draw = np.random.default_rng(3)
    boxes, offsets = boxes_of(500, 4), draw.normal(0, 0.2, (500, 4)).astype(np.float32)
    points = draw.random((500, 10)).astype(np.float32)
    rows, columns = draw.integers(0, 900, (2, 500))
    ours, theirs = map(torch.from_numpy, (boxes, offsets))

    def same(found: torch.Tensor, expected: FloatArray) -> bool:
        return np.array_equal(found.numpy(), expected)

    assert same(decisions.shift(ours, theirs, extra=1), mtcnn.shift(boxes, offsets))
    assert same(decisions.shift(ours, theirs, extra=0), mtcnn.shift_cells(boxes, offsets))
    assert same(decisions.square(ours), mtcnn.square(boxes))
    landmarks = decisions.landmarks(ours, torch.from_numpy(points))
    assert same(landmarks, mtcnn.landmarks(boxes, points))
    sizes = torch.tensor([[50, 70]]).expand(500, 2)
    assert np.array_equal(decisions.clip(ours, sizes).numpy(), mtcnn.clip(boxes, 50, 70))
    scale = 0.6 * 0.709**3
    scales = torch.full((500,), scale, dtype=torch.float32)
    found = decisions.cells(torch.from_numpy(rows), torch.from_numpy(columns), scales)
    assert same(found, mtcnn.cells(rows, columns, scale))


def noise(height: int, width: int) -> RgbImage:
    draw = np.random.default_rng(height * width)
    return draw.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_photos_of_different_sizes_are_resampled_together() -> None:
    images = [noise(37, 53), noise(64, 20), noise(40, 60)]
    photos = Photos.upload(images, 4, 64, 64, CPU)
    integral = IntegralImages(integrate(photos.pixels))
    heights, widths = torch.tensor([20, 31, 11, 0]), torch.tensor([30, 12, 40, 0])
    nothing = torch.zeros(4, dtype=torch.int64)
    means = integral.means(
        torch.arange(4),
        windows(nothing, photos.sizes[:, 0], heights, 31),
        windows(nothing, photos.sizes[:, 1], widths, 40),
    )
    for number, image in enumerate(images):
        height, width = int(heights[number]), int(widths[number])
        expected = IntegralImage(image).resample(height, width, 0, height)
        assert np.array_equal(means[number, :height, :width].numpy(), expected)


def test_crops_of_photos_are_resampled_together() -> None:
    images = [noise(37, 53), noise(64, 20)]
    photos = Photos.upload(images, 2, 64, 64, CPU)
    boxes = np.array([[3, 5, 50, 30], [0, 0, 20, 64], [7, 9, 8, 10]])
    owners, part = torch.tensor([0, 1, 0]), torch.from_numpy(boxes)
    side = torch.full((3,), 24)
    means = IntegralImages(integrate(photos.pixels)).means(
        owners,
        windows(part[:, 1], part[:, 3] - part[:, 1], side, 24),
        windows(part[:, 0], part[:, 2] - part[:, 0], side, 24),
    )
    for number, owner in enumerate(owners.tolist()):
        expected = IntegralImage(images[owner]).crops(boxes[number : number + 1], 24)
        assert np.array_equal(means[number].numpy(), expected[0])


def test_sums_beyond_32_bits_wrap_around() -> None:
    white = torch.full((1, 2900, 2950, 3), 255, dtype=torch.uint8)  # 2.18e9 a channel
    sums = integrate(white)
    window = sums[0, 2900, 2950] - sums[0, 2899, 2950] - sums[0, 2900, 2949] + sums[0, 2899, 2949]
    assert window.tolist() == [255, 255, 255]


@pytest.mark.parametrize("make", [HostRows, lambda: DeviceRows(CPU)])
def test_the_nearest_rows(make: type[NearestRows], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_worker.nearest._BLOCK_COUNT", 2)
    monkeypatch.setattr("gpu_worker.nearest._WIDE_ROWS", 3)
    monkeypatch.setattr("gpu_worker.halves.BLOCK_ROWS", 7)
    monkeypatch.setattr("gpu_worker.backends.device.nearest._PRODUCTS", 24)
    draw = np.random.default_rng(8)
    vectors = draw.standard_normal((40, 512)).astype(np.float16)
    probes = draw.standard_normal((3, 512)).astype(np.float32)
    nearest, rows = make(), HalfRows()

    def put(*numbers: int) -> None:
        for row in numbers:
            rows.append(vectors[row])
            nearest.changed(row)

    def check(places: int) -> None:
        found, products = nearest.find(rows, probes, places)
        exact = probes @ vectors[: len(rows)].astype(np.float32).T
        expected = np.argsort(-exact, axis=1)[:, :places]
        assert np.array_equal(found, expected)
        assert np.allclose(products, np.take_along_axis(exact, expected, axis=1), atol=0.05)

    assert nearest.find(rows, probes, 0)[0].shape == (3, 0)
    put(*range(20))
    check(5)
    vectors[3] = rows[3] = probes[0]
    nearest.changed(3)
    check(5)
    check(20)
    put(*range(20, 40))
    check(1)
    for _ in range(9):
        rows.pop()
    check(4)


def test_rows_in_half_precision_grow_and_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_worker.halves.BLOCK_ROWS", 100)
    monkeypatch.setattr("gpu_worker.halves._FIRST_ROWS", 8)
    rows = HalfRows()
    for count in (*range(1, 251), *range(249, 99, -1), *range(101, 301)):
        if count > len(rows):
            rows.append(np.full(512, count - 1, dtype=np.float16))
        else:
            rows.pop()
        assert len(rows) == count == sum(map(len, rows.blocks()))
    found = np.concatenate(list(rows.blocks()))[:, 0]
    assert np.array_equal(found, np.arange(300))
    assert np.array_equal(rows.take(np.array([299, 0, 100]))[:, 511], [299, 0, 100])


def test_widening_errs_as_little_as_it_says() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    exact = finite.astype(np.float32)
    wide = widen(finite.copy(), np.empty(len(finite), dtype=np.int32))
    small = np.abs(exact) < 2.0**-14
    assert np.array_equal(wide[~small], exact[~small])
    assert np.abs(wide - exact).max() * 512**0.5 <= WIDENING_ERROR


def test_sizes_of_batches() -> None:
    assert [at_least(count, (1, 4, 16)) for count in (0, 1, 2, 16, 17)] == [1, 1, 4, 16, 16]


def test_without_a_gpu_fixed_work_is_a_plain_call() -> None:
    replays, calls = Replays(CPU), []

    def work(given: torch.Tensor) -> tuple[torch.Tensor]:
        calls.append(len(given))
        return (given + 1,)

    for count in (1, 2, 1):
        [found] = replays.run(count, work, torch.zeros(count))
        assert found.tolist() == [1.0] * count
    assert calls == [1, 2, 1]


def test_only_what_comes_again_is_captured_and_the_last_few_are_kept() -> None:
    captured: list[int] = []
    plain: list[int] = []

    def capture(work: Work, inputs: Sequence[torch.Tensor]) -> Replay:
        captured.append(len(inputs[0]))
        return lambda given: (given[0] * 10,)

    def work(given: torch.Tensor) -> tuple[torch.Tensor]:
        plain.append(len(given))
        return (given * 10,)

    replays = Replays(CPU, most=2, after=2, capture=capture)

    def run(count: int) -> None:
        [found] = replays.run(count, work, torch.ones(count))
        assert found.tolist() == [10.0] * count

    for count in range(1, 40):
        run(count)
    assert captured == []
    run(5)
    assert captured == []
    for _ in range(3):
        run(5)
    assert captured == [5]
    for count in (6, 6, 5, 6, 5):
        run(count)
    assert captured == [5, 6], "both are kept"
    for _ in range(3):
        run(7)
    run(5)
    assert captured == [5, 6, 7], "5 was used after 6"
    run(6)
    assert captured == [5, 6, 7], "what was let go has to come as often again"
    run(6)
    run(6)
    assert captured == [5, 6, 7, 6]
    assert plain.count(5) == plain.count(7) == 2


def test_canvases_are_empty_beside_their_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was in the memory before."""

    def dirty(shape: tuple[int, ...], **_: object) -> torch.Tensor:
        return torch.full(shape, 77, dtype=torch.uint8)

    monkeypatch.setattr(torch, "empty", dirty)
    image = np.full((3, 5, 3), 9, dtype=np.uint8)
    photos = Photos.upload([image, image[:, :4]], 4, 6, 5, CPU)
    expected = np.zeros((4, 6, 5, 3), dtype=np.uint8)
    expected[0, :3] = expected[1, :3, :4] = 9
    assert np.array_equal(photos.pixels.numpy(), expected)
    assert photos.sizes.tolist() == [[3, 5], [3, 4], [0, 0], [0, 0]]
