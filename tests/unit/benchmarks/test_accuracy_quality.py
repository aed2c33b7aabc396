"""Quality scores on made-up faces, some of which were spoilt."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.dataset import Dataset, Pair
from benchmarks.accuracy.extract import Record
from benchmarks.accuracy.fit import quality_weights
from benchmarks.accuracy.quality import SHARES, foretell
from benchmarks.accuracy.scores import Faces
from benchmarks.accuracy.views import view_name
from faces.contracts.results import FaceQuality, Pose
from gpu_worker.backends.base import FloatArray
from gpu_worker.profiles import Profile, View

PEOPLE, PHOTOS = 120, 3
PROFILE = Profile("two", "never-shipped", (View(), View(mirrored=True)))


def unit(vector: FloatArray) -> FloatArray:
    made: FloatArray = (vector / np.linalg.norm(vector)).astype(np.float32)
    return made


def photos(spoilt: float, seed: int) -> list[Record]:
    """Views of a spoilt face are off, each in its own way."""
    people = np.random.default_rng(1).standard_normal((PEOPLE, 512)).astype(np.float32)
    people[:, 24:] = 0
    rng = np.random.default_rng(seed)
    records = []
    for person in np.repeat(np.arange(PEOPLE), PHOTOS):
        noise = 0.05 + spoilt * float(rng.random())
        vectors = {
            view_name(view): unit(people[person] + noise * rng.standard_normal(512))
            for view in PROFILE.views
        }
        quality = FaceQuality(
            sharpness=50, brightness=50, pose=Pose(roll=0, yaw=0, pitch=0), size_px=90
        )
        records.append(Record(vectors=vectors, quality=quality, confidence=0.999))
    return records


def dataset() -> Dataset:
    person = np.repeat(np.arange(PEOPLE), PHOTOS)
    names = tuple(f"P{number:03d}" for number in range(PEOPLE))
    ordered = {name: list(range(3 * n, 3 * n + 3)) for n, name in enumerate(names)}
    pairs = tuple(Pair(3 * n, 3 * n + 1, True, n % 2 + 1) for n in range(PEOPLE))
    files = tuple(Path(str(number)) for number in range(len(person)))
    return Dataset(files, names, person, pairs, ordered)


def test_leaving_out_the_worst_lowers_the_misses() -> None:
    usual, worse = foretell(PROFILE, dataset(), [photos(0, seed=2), photos(0.5, seed=3)])
    assert usual.photos == worse.photos == PEOPLE * PHOTOS
    missed = dict(zip(SHARES, worse.misses[1e-3], strict=True))
    assert missed[0.0] > missed[0.1] > missed[0.3] > missed[0.5]
    assert usual.misses[1e-3][0] < missed[0.0]
    assert worse.score.error < 0.1


def test_a_sign_that_says_nothing_does_not_count_against() -> None:
    rng = np.random.default_rng(5)
    telling, noise = rng.standard_normal((2, 400))
    person = np.repeat(np.arange(200), 2)
    cosines = np.full((400, 400), np.nan)
    at = np.arange(400)
    # Each photo is recognised by the other one of the person, mostly where the sign is good.
    cosines[at, at ^ 1] = telling + 0.3 * rng.standard_normal(400)
    faces = Faces(np.zeros((400, 512), dtype=np.float32), np.ones(400, dtype=bool), person)
    signs = np.stack([telling, -telling + 2 * noise, -telling], axis=1)
    first, _, against, _ = quality_weights(signs, person, cosines, faces, threshold=0.0)
    assert first > 1
    assert against == pytest.approx(0)
