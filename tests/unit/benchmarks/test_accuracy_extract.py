"""The measurement runs what the worker runs, and remembers it."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.extract import LIKE_A_WORKER, Cache, Look, Record, recognise
from faces.contracts.jobs import ContentType, JobKind, JobMessage, JobParams, JobRequest
from gpu_worker.backends.choice import Backend, Choice
from gpu_worker.profiles import DEFAULT, PLAIN
from gpu_worker.protocol import Task
from gpu_worker.queue import Received
from gpu_worker.stages.crop import Crop
from gpu_worker.stages.decode import Decode, PixelBudget
from gpu_worker.stages.detect import Detect
from gpu_worker.stages.embed import Embed
from tests.fixtures.photos import encoded
from tests.fixtures.worker_fakes import FakeDetector, FakeEmbedder, detection

PHOTO = encoded(np.random.default_rng(4).integers(0, 255, (300, 400, 3), dtype=np.uint8))


def backend(*found: tuple[float, float, float]) -> Backend:
    detector = FakeDetector([detection(*each) for each in found])
    return Backend(detector, FakeEmbedder(), Choice("reference", "it is a fake"), "none")


def test_the_vector_is_the_one_that_the_worker_enrols() -> None:
    networks = backend((150, 90, 140), (10, 10, 20))
    request = JobRequest(kind=JobKind.ENROLL, params=JobParams(person_name="Ann", force=True))
    message = JobMessage(job_id="j", key="k", size=1)
    task = Task(Received("m", "r", "{}", 1), message, request=request, data=PHOTO)
    for stage in (
        Decode(PixelBudget(10**6), 10**6),
        Detect(networks.detector),
        Crop(DEFAULT),
        Embed(networks.embedder, DEFAULT),
    ):
        stage([task])
    record = recognise(networks, [DEFAULT], PHOTO, ContentType.JPEG, LIKE_A_WORKER)
    assert record.error is None
    assert (record.vectors["default"] == task.vectors[0]).all()
    assert record.quality == task.faces[0].quality
    assert record.rivals == 0
    assert {"decode", "detect", "crop default", "embed default"} == set(record.milliseconds)


def test_every_profile_gives_a_vector_of_the_same_face() -> None:
    record = recognise(
        backend((150, 90, 140)), [PLAIN, DEFAULT], PHOTO, ContentType.JPEG, LIKE_A_WORKER
    )
    assert set(record.vectors) == {"plain", "default"}


@pytest.mark.parametrize(
    ("data", "error"), [(PHOTO, "no_face"), (PHOTO[:300], "corrupt_image"), (b"", "upload_empty")]
)
def test_why_there_is_no_face(data: bytes, error: str) -> None:
    record = recognise(backend(), [PLAIN], data, ContentType.JPEG, LIKE_A_WORKER)
    assert (record.error, record.vectors, record.enrollable) == (error, {}, False)


def test_looks_that_no_worker_has() -> None:
    networks = backend((0, 0, 150), (150, 100, 120))
    central = recognise(networks, [PLAIN], PHOTO, ContentType.JPEG, LIKE_A_WORKER)
    largest = recognise(networks, [PLAIN], PHOTO, ContentType.JPEG, Look(largest=True))
    assert central.quality is not None
    assert largest.quality is not None
    assert (central.quality.size_px, largest.quality.size_px) == (120, 150)
    # The fake's boxes do not shrink with the photo, but end where it ends.
    networks = backend((100, 50, 120))
    small = recognise(networks, [PLAIN], PHOTO, ContentType.JPEG, Look(width=200))
    assert small.quality is not None
    assert small.quality.size_px == 100


def test_records_outlive_the_process(tmp_path: Path) -> None:
    with closing(Cache(tmp_path, "tag")) as cache:
        cache.put([("hash", Record(error="no_face"))])
    with closing(Cache(tmp_path, "tag")) as cache:
        kept = cache.get("hash")
        assert kept is not None
        assert kept.error == "no_face"
        assert cache.get("another") is None
    with closing(Cache(tmp_path, "another tag")) as cache:
        assert cache.get("hash") is None
