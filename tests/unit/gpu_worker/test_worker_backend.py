"""The reference backend on real faces, and its stand-in for torchvision's operator."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faces.contracts.jobs import QualityFilter
from gpu_worker.analysis import central_face, embed_faces, find_faces
from gpu_worker.backends.base import FULL_SEARCH_PX, FloatArray, ModelUnusableError, min_face_px
from gpu_worker.backends.mtcnn import pyramid
from gpu_worker.backends.reference import FaceNetEmbedder, MtcnnDetector, set_threads
from gpu_worker.backends.torchvision_shim import ensure_torchvision, nms
from gpu_worker.weights import weights_path
from tests.fixtures.photos import public_photo


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine several threads mostly wait for each other."""
    before = torch.get_num_threads()
    set_threads(1)
    yield
    set_threads(before)


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    return MtcnnDetector()


@pytest.fixture(scope="module")
def embedder() -> FaceNetEmbedder:
    path = weights_path(os.environ)
    if not path.is_file():
        pytest.skip(f"no FaceNet weights at {path}")
    return FaceNetEmbedder(path)


@pytest.fixture(scope="module")
def lfw() -> Path:
    folder = os.environ.get("FACES_TEST_DATA")
    if not folder:
        pytest.skip("FACES_TEST_DATA is not set: no photos of several people")
    return Path(folder, "lfw-dev")


def test_finds_the_astronaut(detector: MtcnnDetector) -> None:
    [[face]] = detector.detect([public_photo("astronaut")])
    assert np.abs(face.box - [181, 62, 268, 172]).max() <= 2
    assert face.confidence > 0.99
    left_eye, right_eye, nose, mouth_left, mouth_right = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye[1] < nose[1] < mouth_left[1]
    assert mouth_left[0] < mouth_right[0]


def test_each_photo_gets_its_own_faces(detector: MtcnnDetector) -> None:
    photos = [public_photo("coffee"), public_photo("astronaut"), public_photo("cat")]
    assert [len(found) for found in detector.detect(photos)] == [0, 1, 0]


@pytest.mark.parametrize(
    "shape", [(1, 1), (19, 500), (20, 20), (20, 3000), (30, 2500), (3000, 40), (64, 64)]
)
def test_odd_sizes_have_no_face(detector: MtcnnDetector, shape: tuple[int, int]) -> None:
    assert detector.detect([np.zeros((*shape, 3), dtype=np.uint8)]) == [[]]
    noise = np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8)
    [found] = detector.detect([noise])
    assert find_faces(noise, found, QualityFilter.NONE) == []


def test_the_smallest_face_grows_with_large_photos_only() -> None:
    assert min_face_px(64, 64) == min_face_px(FULL_SEARCH_PX, 100) == 20
    assert min_face_px(3024, 4032) == 20, "12 megapixels of a telephone"
    assert 40 <= min_face_px(100, 2 * FULL_SEARCH_PX) < 40 * 1.42


@pytest.mark.parametrize("side", [FULL_SEARCH_PX + 1, 10_000, 65_535])
def test_a_larger_photo_is_searched_on_levels_of_facenet_pytorch(side: int) -> None:
    """Its pyramid would begin with others else, and all boxes would be others."""
    full, part = pyramid(side, side, 20), pyramid(side, side, min_face_px(side, side))
    assert len(part) < len(full)
    left_out = len(full) - len(part)
    assert [level[1:] for level in part] == [level[1:] for level in full[left_out:]]
    for (scale, _, _), (known, _, _) in zip(part, full[left_out:], strict=True):
        assert scale == pytest.approx(known, rel=1e-12)


def test_a_face_of_a_small_photo_is_found(detector: MtcnnDetector) -> None:
    small = np.asarray(Image.fromarray(public_photo("astronaut")[30:230, 120:320]).resize((64, 64)))
    assert len(detector.detect([small])[0]) == 1


@pytest.mark.weights
def test_vectors_have_unit_length_whatever_the_batch(embedder: FaceNetEmbedder) -> None:
    rng = np.random.default_rng(3)
    crops = list(rng.integers(0, 255, (35, 160, 160, 3), dtype=np.uint8))
    vectors = embedder.embed(crops)
    assert vectors.shape == (35, 512)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(embedder.embed(crops[33:]), vectors[33:], atol=1e-5)
    assert embedder.embed([]).shape == (0, 512)


@pytest.mark.weights
def test_other_versions_of_a_photo_are_the_same_person(
    detector: MtcnnDetector, embedder: FaceNetEmbedder
) -> None:
    photo = public_photo("astronaut")
    versions = [
        photo,
        np.ascontiguousarray(photo[:, ::-1]),
        np.asarray(Image.fromarray(photo).resize((300, 300))),
        (photo * 0.6).astype(np.uint8),
    ]
    vectors = []
    for image, found in zip(versions, detector.detect(versions), strict=True):
        vectors.append(embed_faces(embedder, find_faces(image, found, QualityFilter.NONE))[0])
    assert (np.stack(vectors) @ vectors[0]).min() > 0.85


@pytest.mark.weights
@pytest.mark.data
def test_people_are_told_apart(
    detector: MtcnnDetector, embedder: FaceNetEmbedder, lfw: Path
) -> None:
    def vector(name: str, number: int) -> FloatArray:
        file = lfw / "images" / name / f"{name}_{number:04d}.jpg"
        image = np.asarray(Image.open(file).convert("RGB"))
        faces = find_faces(image, detector.detect([image])[0], QualityFilter.NONE)
        found: FloatArray = embed_faces(embedder, [central_face(faces, image)])[0]
        return found

    lines = [line.split("\t") for line in (lfw / "pairs.txt").read_text().splitlines()[1:]]
    same = [line for line in lines if len(line) == 3][:8]
    different = [line for line in lines if len(line) == 4][:8]
    for name, first, second in same:
        assert vector(name, int(first)) @ vector(name, int(second)) > 0.45, name
    for one, first, other, second in different:
        assert vector(one, int(first)) @ vector(other, int(second)) < 0.4, (one, other)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"half a download")
    with pytest.raises(ModelUnusableError, match=r"weights\.pt"):
        FaceNetEmbedder(file)


def test_the_operator_is_there() -> None:
    ensure_torchvision()
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.9, 0.1])
    assert torch.ops.torchvision.nms(boxes, scores, 0.5).tolist() == [1, 2]


coordinates = st.integers(0, 30)
boxes = st.lists(
    st.tuples(coordinates, coordinates, st.integers(1, 30), st.integers(1, 30), st.integers(0, 9)),
    max_size=25,
)


@settings(deadline=None)
@given(boxes, st.sampled_from([0.3, 0.5, 0.7]))
def test_nms_is_greedy(drawn: list[tuple[int, int, int, int, int]], threshold: float) -> None:
    edges = [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h, _ in drawn]
    scores = [float(score) for *_, score in drawn]

    def overlap(a: int, b: int) -> float:
        (ax, ay, ar, ab), (bx, by, br, bb) = edges[a], edges[b]
        shared = max(0.0, min(ar, br) - max(ax, bx)) * max(0.0, min(ab, bb) - max(ay, by))
        return shared / ((ar - ax) * (ab - ay) + (br - bx) * (bb - by) - shared)

    kept: list[int] = []
    for index in sorted(range(len(edges)), key=lambda each: -scores[each]):
        # A tie at the threshold depends on rounding, which float32 and Python do apart.
        overlaps = [overlap(index, other) for other in kept]
        if any(abs(each - threshold) < 1e-5 for each in overlaps):
            return
        if all(each <= threshold for each in overlaps):
            kept.append(index)
    found = nms(torch.tensor(edges).reshape(-1, 4), torch.tensor(scores), threshold)
    assert found.tolist() == kept
