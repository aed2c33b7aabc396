"""The measurement runs what the worker runs, and remembers it."""

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.accuracy import extract as extracting
from benchmarks.accuracy.extract import (
    LIKE_A_WORKER,
    Cache,
    Look,
    Record,
    extract,
    merge,
    recognise,
    recognise_each,
)
from benchmarks.accuracy.worsen import worsen
from faces.contracts.jobs import ContentType, JobKind, JobMessage, JobParams, JobRequest
from gpu_worker.backends.choice import Backend, Choice
from gpu_worker.profiles import DEFAULT, PLAIN, Profile
from gpu_worker.protocol import Task
from gpu_worker.queue import Received
from gpu_worker.stages.crop import Crop
from gpu_worker.stages.decode import Decode, PixelBudget
from gpu_worker.stages.detect import Detect
from gpu_worker.stages.embed import Embed
from tests.fixtures.photos import encoded
from tests.fixtures.worker_fakes import FakeDetector, FakeEmbedder, detection, unit

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
    record = recognise(networks, DEFAULT, PHOTO, ContentType.JPEG, LIKE_A_WORKER)
    assert record.error is None
    assert (record.vectors["default"] == task.vectors[0]).all()
    assert record.quality == task.faces[0].quality
    assert record.rivals == 0
    assert {"decode", "detect", "crop default", "embed default"} == set(record.milliseconds)


def test_every_profile_gives_a_vector_of_the_same_face() -> None:
    found = recognise_each(
        backend((150, 90, 140)), [PLAIN, DEFAULT], PHOTO, ContentType.JPEG, LIKE_A_WORKER
    )
    merged = merge([found["default"], found["plain"]])
    assert set(merged.vectors) == {"plain", "default"}
    assert merged.quality == found["default"].quality
    assert merged.quality is not None
    assert merged.quality.score is not None


@pytest.mark.parametrize(
    ("data", "error"), [(PHOTO, "no_face"), (PHOTO[:300], "corrupt_image"), (b"", "upload_empty")]
)
def test_why_there_is_no_face(data: bytes, error: str) -> None:
    record = recognise(backend(), PLAIN, data, ContentType.JPEG, LIKE_A_WORKER)
    assert (record.error, record.vectors, record.enrollable) == (error, {}, False)


def test_looks_that_no_worker_has() -> None:
    networks = backend((0, 0, 150), (150, 100, 120))
    central = recognise(networks, PLAIN, PHOTO, ContentType.JPEG, LIKE_A_WORKER)
    largest = recognise(networks, PLAIN, PHOTO, ContentType.JPEG, Look(largest=True))
    assert central.quality is not None
    assert largest.quality is not None
    assert (central.quality.size_px, largest.quality.size_px) == (120, 150)
    # The fake's boxes do not shrink with the photo, but end where it ends.
    networks = backend((100, 50, 120))
    small = recognise(networks, PLAIN, PHOTO, ContentType.JPEG, Look(width=200))
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


class Pipeline:
    """Stands for the pool of processes; stops after some chunks."""

    def __init__(self, stop_after: int) -> None:
        self.stop_after = stop_after
        self.worked: list[str] = []

    def __call__(
        self, missing: Sequence[tuple[str, Path, tuple[Profile, ...]]], *_: object
    ) -> Iterator[dict[str, dict[str, Record]]]:
        for number, (photo, path, profiles) in enumerate(missing):
            if number == self.stop_after:
                raise KeyboardInterrupt
            self.worked.append(path.name)
            yield {photo: {p.name: Record(vectors={p.name: unit(number)}) for p in profiles}}


def test_an_interrupted_run_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [tmp_path / f"{number}.jpg" for number in range(5)]
    for photo in photos:
        photo.write_bytes(photo.name.encode())
    photos[4].write_bytes(photos[0].read_bytes())  # the same photo twice is worked on once

    def run(*profiles: Profile, stop_after: int = 99) -> tuple[list[str], list[Record]]:
        pipeline = Pipeline(stop_after)
        monkeypatch.setattr(extracting, "_make", pipeline)
        records: list[Record] = []
        with suppress(KeyboardInterrupt):
            records = extract(photos, profiles, tmp_path / "cache", Console(quiet=True))
        return pipeline.worked, records

    assert len(run(PLAIN, stop_after=2)[0]) == 2
    worked, records = run(PLAIN)
    assert len(worked) == 2
    assert len(records) == 5
    assert (records[0].vectors["plain"] == records[4].vectors["plain"]).all()
    assert run(PLAIN)[0] == []
    # Another profile is worked on alone, and what was known stays.
    worked, records = run(PLAIN, DEFAULT)
    assert len(worked) == 4
    assert set(records[0].vectors) == {"plain", "default"}


@given(number=st.integers(1, 50))
def test_worsened_photos_are_always_worse_in_the_same_way(number: int) -> None:
    image = np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    worse = worsen(image, number)
    assert worse.dtype == np.uint8
    assert worse.shape != image.shape or (worse != image).any()
    assert (worsen(image, number) == worse).all()
