"""The copy is used up to its limit, the database beyond."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from faces.gallery.approximate import NearPerson
from faces.gallery.vectors import Changes, GalleryFace, Snapshot
from gpu_worker.backends.base import FloatArray
from gpu_worker.index import GalleryIndex
from gpu_worker.search import LimitedSearch
from tests.fixtures.worker_fakes import unit

LIMIT = 10


@dataclass
class FakeGallery:
    """So many faces, all of one collection, of which a copy is made or which is asked."""

    faces: int
    loads: int = 0
    follows: int = 0
    asked: list[int] = field(default_factory=list)
    counts: int = 0
    others: int = 0

    def load(self, model_tag: str) -> Snapshot:
        self.loads += 1
        faces = [self._face(number) for number in range(self.faces)]
        vectors = [unit(number).astype(np.float16) for number in range(self.faces)]
        return Snapshot(
            self.faces, faces, np.stack(vectors) if vectors else np.empty((0, 512), np.float16)
        )

    def changes_since(self, position: int, model_tag: str) -> Changes | None:
        self.follows += 1
        numbers = range(position, self.faces)
        vectors = [unit(number).astype(np.float16) for number in numbers]
        return Changes(
            self.faces,
            [self._face(number) for number in numbers],
            np.stack(vectors) if vectors else np.empty((0, 512), np.float16),
            frozenset(),
            {},
        )

    def _face(self, number: int) -> GalleryFace:
        return GalleryFace(f"f{number}", f"p{number}", f"Person {number}", "t", "c")

    def count(self) -> int:
        self.counts += 1
        return self.faces

    def count_others(self) -> int:
        return self.others

    def size(self, tenant: str, collection: str) -> int:
        return self.faces

    def search(
        self, tenant: str, collection: str, probes: FloatArray, count: int
    ) -> Sequence[Sequence[NearPerson]]:
        self.asked.append(len(probes))
        found = NearPerson(person_id="p1", name="Person 1", similarity=0.9, face_id="f1", faces=3)
        return [[found] for _ in probes]


@dataclass
class Bench:
    gallery: FakeGallery
    now: float = 0.0

    def __post_init__(self) -> None:
        self.search = LimitedSearch(
            lambda: GalleryIndex(self.gallery, "tag"),
            self.gallery,
            LIMIT,
            clock=lambda: self.now,
        )

    def follow(self, faces: int, seconds: float = 0) -> bool:
        self.gallery.faces = faces
        self.now += seconds
        self.search.follow()
        return self.search.exact


def test_up_to_the_limit_the_copy_answers() -> None:
    bench = Bench(FakeGallery(LIMIT))
    assert bench.follow(LIMIT)
    [[best]] = bench.search.search("t", "c", unit(3)[np.newaxis], 1)
    assert best.person_id == "p3"
    assert bench.search.names["p3"] == "Person 3"
    assert bench.search.size("t", "c") == LIMIT
    assert bench.gallery.asked == []


def test_beyond_the_limit_nothing_is_loaded_and_the_database_answers() -> None:
    bench = Bench(FakeGallery(LIMIT + 1))
    assert not bench.follow(LIMIT + 1)
    [[first], [second]] = bench.search.search("t", "c", np.stack([unit(1), unit(2)]), 1)
    assert first.person_id == "p1"
    assert second.similarity == pytest.approx(0.9)
    assert second.faces == 3
    assert bench.search.names == {"p1": "Person 1"}
    assert bench.search.size("t", "c") == LIMIT + 1
    assert (bench.gallery.loads, bench.gallery.asked) == (0, [2])


def test_a_gallery_that_grows_too_large_is_let_go() -> None:
    bench = Bench(FakeGallery(LIMIT - 1))
    assert bench.follow(LIMIT - 1)
    assert bench.follow(LIMIT)
    assert not bench.follow(LIMIT + 1)
    assert not bench.follow(LIMIT)


def test_what_came_while_nobody_looked_is_not_fetched_beyond_the_limit() -> None:
    bench = Bench(FakeGallery(LIMIT))
    assert bench.follow(LIMIT)
    assert bench.follow(LIMIT, seconds=61)
    assert not bench.follow(1000 * LIMIT, seconds=61)
    assert (bench.gallery.loads, bench.gallery.follows) == (1, 1)


def test_a_gallery_that_shrank_comes_back_after_a_while() -> None:
    bench = Bench(FakeGallery(LIMIT + 1))
    assert not bench.follow(LIMIT + 1)
    assert not bench.follow(1, seconds=59)
    assert bench.gallery.counts == 1
    assert bench.follow(1, seconds=2)
    assert bench.search.size("t", "c") == 1


def test_it_does_not_come_and_go_at_the_limit() -> None:
    bench = Bench(FakeGallery(LIMIT + 1))
    bench.follow(LIMIT + 1)
    assert not bench.follow(LIMIT, seconds=61)
    assert bench.follow(LIMIT - 2, seconds=61)


@pytest.mark.parametrize("others", [0, 7])
def test_faces_of_another_version_are_told_of_once(
    others: int, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(FakeGallery(LIMIT + 5, others=others))
    for _ in range(3):
        bench.follow(LIMIT + 5, seconds=100)
    told = [vars(each)["faces"] for each in caplog.records if "enrol" in each.getMessage()]
    assert told == ([others] if others else [])
