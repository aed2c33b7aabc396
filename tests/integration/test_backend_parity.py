"""The fast backends against facenet-pytorch on real photos: same boxes, same people.

The one for GPUs runs on the CPU here, which leaves out its graphs and its speed.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faces.contracts.jobs import QualityFilter
from faces.contracts.results import Box
from gpu_worker.analysis import central_face, find_faces
from gpu_worker.backends.base import (
    Detection,
    Detector,
    Embedder,
    FloatArray,
    RgbImage,
    SmallestFace,
    fast_min_face_px,
    min_face_px,
)
from gpu_worker.backends.converted import ensure_converted
from gpu_worker.backends.cpu import OpenVinoDetector, OpenVinoEmbedder, Runtime
from gpu_worker.backends.device.detector import DeviceDetector
from gpu_worker.backends.device.embedder import DeviceEmbedder
from gpu_worker.backends.reference import FaceNetEmbedder, MtcnnDetector, set_threads
from gpu_worker.crop import clip_box
from gpu_worker.weights import weights_path
from tests.fixtures.photos import public_photo

pytestmark = [pytest.mark.weights]

CPU = torch.device("cpu")
LFW_PHOTOS = 320
DEVICE_PHOTOS = 48
DEVICE_SIDE = 480
THRESHOLD = 0.65


@dataclass(frozen=True, eq=False)
class Pair:
    """Both backends, with the same search for small faces.

    `exact` is facenet-pytorch in float64. Where rounding in float32 alone moves an edge of
    facenet-pytorch's over a whole pixel, the tested backend gives the exact one's boxes.
    """

    reference: Detector
    exact: Detector
    tested: Detector

    @classmethod
    def of(cls, runtime: Runtime, smallest: SmallestFace) -> "Pair":
        return cls(
            MtcnnDetector(smallest=smallest),
            MtcnnDetector(smallest=smallest, dtype=torch.float64),
            OpenVinoDetector(runtime, smallest),
        )


@pytest.fixture(scope="module")
def weights() -> Path:
    path = weights_path(os.environ)
    if not path.is_file():
        pytest.skip(f"no FaceNet weights at {path}")
    return path


@pytest.fixture(scope="module")
def runtime(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    before = torch.get_num_threads()
    set_threads(1)
    yield Runtime(ensure_converted(weights, tmp_path_factory.mktemp("cache")), threads=1)
    set_threads(before)


@pytest.fixture(scope="module")
def pair(runtime: Runtime) -> Pair:
    return Pair.of(runtime, min_face_px)


@pytest.fixture(scope="module")
def device_pair(pair: Pair) -> Pair:
    return Pair(pair.reference, pair.exact, DeviceDetector(CPU))


@pytest.fixture(scope="module", params=["cpu", "device"])
def each_pair(request: pytest.FixtureRequest, pair: Pair, device_pair: Pair) -> Pair:
    return pair if request.param == "cpu" else device_pair


@pytest.fixture(scope="module")
def reference_embedder(weights: Path) -> FaceNetEmbedder:
    return FaceNetEmbedder(weights)


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("FACES_TEST_DATA")
    if not folder:
        pytest.skip("FACES_TEST_DATA is not set: no photos of several people")
    return Path(folder)


@pytest.fixture(scope="module")
def lfw(data: Path) -> list[Path]:
    """Return photos of many people, two of each where there are two, evenly over the alphabet."""
    people = sorted((data / "lfw-dev" / "images").iterdir())
    several = [photos for person in people if len(photos := sorted(person.iterdir())) > 1]
    step = max(1, len(several) * 2 // LFW_PHOTOS)
    return [photo for photos in several[::step] for photo in photos[:2]][:LFW_PHOTOS]


def read(path: Path) -> RgbImage:
    return np.array(Image.open(path).convert("RGB"))


def boxes_of(image: RgbImage, faces: Sequence[Detection]) -> list[tuple[Box | None, list[float]]]:
    return [(clip_box(image, face.box), np.trunc(face.box).tolist()) for face in faces]


def assert_same(image: RgbImage, pair: Pair, name: str) -> list[Detection]:
    """Compare what both find; return the faces."""
    [found] = pair.tested.detect([image])
    assert not assert_equal(image, found, pair, name), f"{name}: only float64 gives these boxes"
    return found


def assert_equal(image: RgbImage, found: list[Detection], pair: Pair, name: str) -> bool:
    """Compare with facenet-pytorch; return whether it had to be the one in float64."""
    expected, rounded = expected_of(image, found, pair)
    assert boxes_of(image, found) == boxes_of(image, expected), name
    for face, known in zip(found, expected, strict=True):
        assert np.abs(face.landmarks - known.landmarks).max() < 0.01, name
        assert face.confidence == pytest.approx(known.confidence, abs=1e-4), name
    return rounded


def expected_of(
    image: RgbImage, found: list[Detection], pair: Pair
) -> tuple[list[Detection], bool]:
    """Return facenet-pytorch's faces, and whether only those of float64 are like `found`."""
    [expected] = pair.reference.detect([image])
    boxes = boxes_of(image, found)
    if boxes == boxes_of(image, expected):
        return expected, False
    [exact] = pair.exact.detect([image])
    return (exact, True) if boxes == boxes_of(image, exact) else (expected, False)


def cosines(some: FloatArray, others: FloatArray) -> FloatArray:
    products: FloatArray = (some * others).sum(axis=1)
    return products


@pytest.mark.data
@pytest.mark.timeout(600)
def test_lfw_gives_the_same_boxes_vectors_and_answers(
    lfw: list[Path],
    pair: Pair,
    runtime: Runtime,
    reference_embedder: FaceNetEmbedder,
) -> None:
    crops = []
    rounded = []
    for path in lfw:
        image = read(path)
        [found] = pair.tested.detect([image])
        if assert_equal(image, found, pair, path.name):
            rounded.append(path.name)
        faces = find_faces(image, found, QualityFilter.NONE)
        crops.append(central_face(faces, image).views[0])
    assert len(crops) >= 300
    assert len(rounded) <= len(crops) // 100, rounded
    expected = reference_embedder.embed(crops)
    for precision, least in (("f32", 0.9999), ("bf16", 0.998)):
        if precision == "bf16" and runtime.best_precision() != "bf16":
            continue
        embedder: Embedder = OpenVinoEmbedder(runtime, "bf16" if precision == "bf16" else "f32")
        vectors = embedder.embed(crops)
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
        assert cosines(vectors, expected).min() >= least
        assert_same_answers(vectors, expected, exact=precision == "f32")


@pytest.mark.data
@pytest.mark.timeout(600)
def test_lfw_in_batches_gives_the_same_boxes_vectors_and_answers(
    lfw: list[Path],
    weights: Path,
    device_pair: Pair,
    reference_embedder: FaceNetEmbedder,
) -> None:
    # Of two sizes, so that canvases are shared and batches are not full.
    images = [read(path) for path in lfw[:DEVICE_PHOTOS]]
    images[5:9] = [np.ascontiguousarray(image[:231, 7:]) for image in images[5:9]]
    crops = []
    for image, path, found in zip(images, lfw, device_pair.tested.detect(images), strict=False):
        assert_equal(image, found, device_pair, path.name)
        faces = find_faces(image, found, QualityFilter.NONE)
        crops.append(central_face(faces, image).views[0])
    expected = reference_embedder.embed(crops)
    for dtype, least in (
        (torch.float32, 0.9999),
        (torch.bfloat16, 0.998),
        (torch.float16, 0.9999),
    ):
        vectors = DeviceEmbedder(weights, CPU, dtype, batches=(4, 16)).embed(crops)
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
        assert cosines(vectors, expected).min() >= least
        assert_same_answers(vectors, expected, exact=dtype is not torch.bfloat16)


def assert_same_answers(vectors: FloatArray, expected: FloatArray, *, exact: bool) -> None:
    """Enrol each person's first photo, identify with the second."""
    known, probes = expected[::2], expected[1::2]
    similarities = probes @ known.T
    own = vectors[1::2] @ vectors[::2].T
    best, others = similarities.argmax(axis=1), own.argmax(axis=1)
    accepted = similarities.max(axis=1) >= THRESHOLD
    # Who is nearest may only differ between people of whom none is accepted.
    assert np.array_equal(best[accepted], others[accepted])
    flipped = accepted != (own.max(axis=1) >= THRESHOLD)
    # bfloat16 may move a similarity over the threshold that lies on it, as any change can.
    close = np.abs(similarities.max(axis=1) - THRESHOLD) < (1e-4 if exact else 0.01)
    assert not (flipped & ~close).any()


SIZES = (64, 100, 160, 250, 480, 719, 1080)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "angelina_jolie.jpg",
        "bradley_cooper_face.png",
        "kate_siegel.jpg",
        "multiface.jpg",
        "paul_rudd.jpg",
    ],
)
def test_photos_of_all_sizes_give_the_same_boxes(
    data: Path, pair: Pair, device_pair: Pair, name: str
) -> None:
    image = Image.open(data / "photos" / name).convert("RGB")
    faces = 0
    for side in (*SIZES, max(image.size)):
        scale = side / max(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        resized = np.array(image.resize(size))
        what = f"{name} at {size[0]} x {size[1]}"
        faces += len(assert_same(resized, pair, what))
        if side <= DEVICE_SIDE:
            assert_same(resized, device_pair, f"{what} on a device")
    assert faces > len(SIZES) / 2


@pytest.mark.data
@pytest.mark.parametrize("name", ["multiface.jpg", "paul_rudd.jpg"])
def test_12_megapixels_give_the_same_boxes(data: Path, pair: Pair, name: str) -> None:
    photo = Image.open(data / "photos" / name).convert("RGB")
    size = (4000, 3000) if photo.width > photo.height else (3000, 4000)
    image = np.array(photo.resize(size))
    [found] = pair.tested.detect([image])
    assert found
    # facenet-pytorch with its own settings, which looks for faces of 20 px.
    stock = Pair(
        MtcnnDetector(smallest=lambda *_: 20.0),
        MtcnnDetector(smallest=lambda *_: 20.0, dtype=torch.float64),
        pair.tested,
    )
    assert_equal(image, found, stock, name)


@pytest.mark.data
@pytest.mark.parametrize("name", ["kate_siegel.jpg", "multiface.jpg", "paul_rudd.jpg"])
def test_fast_detection_gives_the_same_boxes_of_larger_faces(
    data: Path, pair: Pair, runtime: Runtime, name: str
) -> None:
    image = read(data / "photos" / name)
    [found] = OpenVinoDetector(runtime, fast_min_face_px).detect([image])
    [known] = pair.tested.detect([image])
    smallest = 2 * fast_min_face_px(*image.shape[:2])
    large = [face for face in known if (face.box[2:] - face.box[:2]).min() > smallest]
    assert large
    kept = {str(each) for each in boxes_of(image, found)}
    assert {str(each) for each in boxes_of(image, large)} <= kept


@pytest.mark.parametrize("name", ["astronaut", "coffee", "cat", "rocket"])
def test_public_photos_give_the_same_boxes(each_pair: Pair, name: str) -> None:
    image = public_photo(name)
    parts = [np.ascontiguousarray(part) for part in (image, image[1:, :-1], image[:301, 50:])]
    for part, found in zip(parts, each_pair.tested.detect(parts), strict=True):
        assert_equal(part, found, each_pair, name)


@pytest.mark.parametrize("shape", [(1, 1), (19, 400), (20, 20), (20, 1500), (21, 37), (1500, 40)])
def test_odd_sizes(each_pair: Pair, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8)
    assert_same(noise, each_pair, str(shape))


@pytest.mark.parametrize("name", ["cpu", "device"])
def test_vectors_do_not_depend_on_the_batch(runtime: Runtime, weights: Path, name: str) -> None:
    crops = list(np.random.default_rng(2).integers(0, 255, (19, 160, 160, 3), dtype=np.uint8))
    embedder: Embedder = (
        OpenVinoEmbedder(runtime, "f32")
        if name == "cpu"
        else DeviceEmbedder(weights, CPU, torch.float32, batches=(1, 4, 16))
    )
    together = embedder.embed(crops)
    assert together.shape == (19, 512)
    assert cosines(embedder.embed(crops[17:]), together[17:]).min() > 0.9999
    assert embedder.embed([]).shape == (0, 512)
