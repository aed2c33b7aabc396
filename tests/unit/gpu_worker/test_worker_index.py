"""The in-memory index answers as a search over all faces would, whatever came before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from faces.contracts.errors import TransientError
from faces.gallery.vectors import Changes, GalleryFace, Snapshot
from gpu_worker.backends.base import FloatArray
from gpu_worker.backends.device.nearest import DeviceRows
from gpu_worker.halves import HalfArray
from gpu_worker.index import CollectionIndex, GalleryIndex
from gpu_worker.nearest import HostRows, NearestRows


def unit(seed: int) -> FloatArray:
    vector = np.random.default_rng(seed).standard_normal(512).astype(np.float32)
    normed: FloatArray = vector / np.linalg.norm(vector)
    return normed


def half(seed: int) -> HalfArray:
    return unit(seed).astype(np.float16)


def brute_force(
    faces: dict[str, tuple[str, HalfArray]], probe: FloatArray, count: int
) -> list[tuple[str, float]]:
    """Compare with every person in float64; equally similar ones by their ids."""
    people: dict[str, list[NDArray[np.float64]]] = {}
    for person_id, vector in faces.values():
        exact = vector.astype(np.float64)
        people.setdefault(person_id, []).append(exact / np.linalg.norm(exact))
    best = []
    for person_id, vectors in people.items():
        mean = np.mean(vectors, axis=0)
        mean /= np.linalg.norm(mean)
        best.append((person_id, round(float(mean @ probe.astype(np.float64)), 12)))
    return sorted(best, key=lambda each: (-each[1], each[0]))[:count]


operations = st.lists(
    st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 8), st.integers(0, 10_000)),
    max_size=120,
)


@settings(max_examples=60, deadline=None)
@given(operations=operations, count=st.integers(1, 11), seed=st.integers(0, 99))
def test_equals_brute_force(
    operations: list[tuple[bool, int, int, int]], count: int, seed: int
) -> None:
    index, faces = CollectionIndex(), dict[str, tuple[str, HalfArray]]()
    for put, face, person, vector_seed in operations:
        if put:
            index.put(f"f{face}", f"p{person}", unit(vector_seed))
            faces[f"f{face}"] = (f"p{person}", half(vector_seed))
        else:
            index.remove(f"f{face}")
            faces.pop(f"f{face}", None)
    assert len(index) == len(faces)
    assert index.people == len({person for person, _ in faces.values()})
    probes = np.stack([unit(seed), unit(seed + 1)])
    for probe, hits in zip(probes, index.search(probes, count), strict=True):
        expected = brute_force(faces, probe, count)
        assert [hit.similarity for hit in hits] == pytest.approx(
            [similarity for _, similarity in expected], abs=2e-12
        )
        assert len({hit.person_id for hit in hits}) == len(hits)
        for hit in hits:
            person_id, vector = faces[hit.face_id]
            assert person_id == hit.person_id
            own = [float(face @ probe) for owner, face in faces.values() if owner == person_id]
            assert hit.faces == len(own)
            assert float(vector @ probe) == pytest.approx(max(own), abs=1e-3)


@pytest.mark.parametrize("make", [HostRows, lambda: DeviceRows(torch.device("cpu"))])
@pytest.mark.parametrize("alike", [0.0, 0.9, 0.9999, 1.0])
def test_the_same_people_in_the_same_order_as_in_float64(
    make: Callable[[], NearestRows], alike: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of people whose faces half precision and float32 cannot tell apart."""
    monkeypatch.setattr("gpu_worker.nearest._BLOCK_COUNT", 1)
    monkeypatch.setattr("gpu_worker.nearest._WIDE_ROWS", 100)
    monkeypatch.setattr("gpu_worker.halves.BLOCK_ROWS", 300)
    draw = np.random.default_rng(5)
    common = unit(0)
    index, faces = CollectionIndex(make()), dict[str, tuple[str, HalfArray]]()
    numbers = draw.permutation(1200)
    for number in numbers:
        own = alike * common + (1 - alike) * unit(number + 1)
        vector = (own / np.linalg.norm(own)).astype(np.float16)
        # Every tenth face is exactly that of somebody else, every seventh person has three.
        if number % 10 == 1:
            vector = faces.get(f"f{number - 1}", ("", vector))[1]
        person = f"p{number - number % 3 if number % 7 < 3 else number}"
        index.put(f"f{number}", person, vector)
        faces[f"f{number}"] = (person, vector)
    probes = np.stack([common, unit(7), *(faces[f"f{n}"][1].astype(np.float32) for n in (0, 11))])
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    for count in (1, 5):
        for probe, hits in zip(probes, index.search(probes, count), strict=True):
            expected = brute_force(faces, probe, count)
            assert [hit.similarity for hit in hits] == pytest.approx(
                [similarity for _, similarity in expected], abs=2e-12
            )
            assert [hit.person_id for hit in hits] == [person for person, _ in expected]


def test_a_face_of_another_length_is_compared_by_its_direction() -> None:
    index = CollectionIndex()
    for number in range(30):
        index.put(f"f{number}", f"p{number}", unit(number) * (0.991 + 0.0006 * number))
    for number in range(30):
        [[hit, *_]] = index.search(unit(number)[np.newaxis], 2)
        assert hit.person_id == f"p{number}"
        assert hit.similarity == pytest.approx(1, abs=1e-6)


def test_one_person_with_many_faces_does_not_hide_others() -> None:
    index, probe = CollectionIndex(), unit(1)
    for number in range(500):
        close = probe + 0.01 * unit(100 + number)
        index.put(f"f{number}", "crowd", close / np.linalg.norm(close))
    index.put("far", "other", unit(2))
    [hits] = index.search(probe[np.newaxis], 3)
    assert [hit.person_id for hit in hits] == ["crowd", "other"]


@dataclass
class FakeFeed:
    """A gallery of record in memory."""

    snapshot: Snapshot
    changes: list[Changes | None] = field(default_factory=list)
    loads: int = 0
    asked: list[int] = field(default_factory=list)
    away: bool = False

    def load(self, model_tag: str) -> Snapshot:
        if self.away:
            raise TransientError
        assert model_tag == "tag"
        self.loads += 1
        return self.snapshot

    def changes_since(self, position: int, model_tag: str) -> Changes | None:
        if self.away:
            raise TransientError
        self.asked.append(position)
        return self.changes.pop(0)


def face(face_id: str, person_id: str, collection: str = "c", name: str = "Ann") -> GalleryFace:
    return GalleryFace(face_id, person_id, name, "t", collection)


def vectors(*seeds: int) -> HalfArray:
    return np.stack([half(seed) for seed in seeds]) if seeds else np.empty((0, 512), np.float16)


def changes(
    position: int,
    faces: Sequence[GalleryFace] = (),
    seeds: Sequence[int] = (),
    removed: Sequence[str] = (),
    renamed: dict[str, str] | None = None,
) -> Changes:
    return Changes(position, faces, vectors(*seeds), frozenset(removed), renamed or {})


def people(index: GalleryIndex, seed: int, collection: str = "c", tenant: str = "t") -> list[str]:
    [hits] = index.search(tenant, collection, unit(seed)[np.newaxis], 10)
    return [hit.person_id for hit in hits]


def test_follows_the_feed() -> None:
    feed = FakeFeed(Snapshot(7, [face("f1", "p1")], vectors(1)))
    index = GalleryIndex(feed, "tag")
    assert people(index, 1) == []
    index.follow()
    assert people(index, 1) == ["p1"]
    feed.changes = [
        changes(8, [face("f2", "p2", name="Bob")], [2]),
        changes(9, renamed={"p2": "Robert", "stranger": "Nobody"}),
        changes(10, removed=["f1", "never-seen"]),
    ]
    index.follow()
    assert set(people(index, 1)) == {"p1", "p2"}
    index.follow()
    assert index.names["p2"] == "Robert"
    index.follow()
    assert people(index, 1) == ["p2"]
    assert feed.asked == [7, 8, 9]
    assert feed.loads == 1


def test_collections_and_tenants_are_apart() -> None:
    feed = FakeFeed(Snapshot(1, [face("f1", "p1", "a"), face("f2", "p2", "b")], vectors(1, 2)))
    index = GalleryIndex(feed, "tag")
    index.follow()
    assert people(index, 1, "a") == ["p1"]
    assert people(index, 1, "b") == ["p2"]
    assert people(index, 1, "a", tenant="other") == []


def test_a_face_that_moves_leaves_its_old_collection() -> None:
    feed = FakeFeed(Snapshot(1, [face("f1", "p1", "a")], vectors(1)))
    index = GalleryIndex(feed, "tag")
    index.follow()
    feed.changes = [changes(2, [face("f1", "p2", "b")], [1])]
    index.follow()
    assert people(index, 1, "a") == []
    assert people(index, 1, "b") == ["p2"]
    assert len(index) == 1


def test_loads_anew_when_the_feed_was_pruned() -> None:
    feed = FakeFeed(Snapshot(1, [face("f1", "p1")], vectors(1)))
    index = GalleryIndex(feed, "tag")
    index.follow()
    feed.snapshot, feed.changes = Snapshot(90, [face("f3", "p3")], vectors(3)), [None]
    index.follow()
    assert people(index, 1) == ["p3"]
    assert index.names == {"p3": "Ann"}


def test_keeps_its_copy_while_the_gallery_is_away() -> None:
    feed = FakeFeed(Snapshot(1, [face("f1", "p1")], vectors(1)))
    index = GalleryIndex(feed, "tag")
    index.follow()
    feed.away = True
    with pytest.raises(TransientError):
        index.follow()
    assert people(index, 1) == ["p1"]
    feed.away, feed.changes = False, [changes(2, removed=["f1"])]
    index.follow()
    assert feed.asked == [1]
    assert people(index, 1) == []
