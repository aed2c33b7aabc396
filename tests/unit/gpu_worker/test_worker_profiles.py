"""Profiles: views of a face, and one vector from many."""

import numpy as np
import pytest

from faces.contracts.jobs import QualityFilter
from gpu_worker.analysis import embed_and_score, find_faces
from gpu_worker.backends.base import FloatArray
from gpu_worker.calibration import load_centre
from gpu_worker.profiles import DEFAULT, PLAIN, PROFILES, Profile
from tests.fixtures.worker_fakes import MODEL, FakeEmbedder, detection, unit

IMAGE = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)


def views(*seeds: int) -> FloatArray:
    """One face whose views have these vectors."""
    return np.stack([unit(seed) for seed in seeds])[None]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_one_vector_a_face(profile: Profile) -> None:
    crops = profile.crops(IMAGE, detection(100, 100))
    assert len(crops) == len(profile.views)
    assert all(crop.shape == (160, 160, 3) and crop.dtype == np.uint8 for crop in crops)
    embedder = FakeEmbedder()
    found = [detection(20, 20, 60), detection(150, 100, 120)]
    faces = find_faces(IMAGE, found, QualityFilter.NONE, profile)
    vectors, qualities = embed_and_score(embedder, faces, profile)
    assert embedder.embedded == 2 * len(profile.views)
    assert vectors.shape == (2, 512)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    scored = [quality.score is not None for quality in qualities]
    assert scored == [len(profile.views) > 1] * 2


def test_vectors_of_profiles_have_tags_of_their_own() -> None:
    tags = {profile.model(MODEL).tag for profile in PROFILES.values()}
    assert len(tags) == len(PROFILES)


def test_plain_is_the_networks_own_vector() -> None:
    assert PLAIN.fuse(views(3)) == pytest.approx(views(3)[0], abs=1e-6)


def test_the_mean_of_many_people_is_taken_away() -> None:
    fused = views(3, 4).sum(axis=1)
    fused /= np.linalg.norm(fused)
    expected = fused - load_centre(DEFAULT.crop_version)
    expected /= np.linalg.norm(expected)
    assert DEFAULT.fuse(views(3, 4)) == pytest.approx(expected, abs=1e-6)


def test_equal_views_agree_and_others_do_not() -> None:
    assert DEFAULT.agreement(views(3, 3)) == pytest.approx(1, abs=1e-6)
    assert DEFAULT.agreement(views(3, 4)) == pytest.approx(np.sqrt(0.5), abs=0.05)


def test_no_face_no_vector() -> None:
    vectors, qualities = embed_and_score(FakeEmbedder(), [], DEFAULT)
    assert vectors.shape == (0, 512)
    assert qualities == []
