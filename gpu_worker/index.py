"""The worker's own copy of the gallery: exact search by matrix product (`gpu_worker.nearest`).

One index a collection. Up to about a million faces this is faster for batches than an
approximate index in the database, and it never misses the best match.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from faces.gallery.vectors import Changes, GalleryFace, Snapshot
from gpu_worker.backends.base import EMBEDDING_SIZE, FloatArray
from gpu_worker.nearest import HostRows, NearestRows

_FIRST_CAPACITY = 64


@dataclass(frozen=True)
class Hit:
    """A person, the cosine to the mean of their faces, the nearest of these, and how many."""

    person_id: str
    face_id: str
    similarity: float
    faces: int = 1


class FaceSearch(Protocol):
    """What the pipeline asks for similar faces.

    Attributes
    ----------
    names : the name of each person that was ever found, by id.
    """

    @property
    def names(self) -> Mapping[str, str]: ...

    def follow(self) -> None:
        """Bring what is searched up to date; TransientError when the database is away."""

    def search(
        self, tenant: str, collection: str, probes: FloatArray, count: int
    ) -> list[list[Hit]]:
        """Return the `count` nearest people of the collection for each (512,) probe."""

    def size(self, tenant: str, collection: str) -> int:
        """Return with how many people a face of the collection is compared."""


class VectorTable:
    """Vectors by id, in one matrix that grows and has no holes.

    Parameters
    ----------
    on_write : called with the number of each row that gets another vector.
    """

    def __init__(self, on_write: Callable[[int], None] = lambda _: None) -> None:
        self._on_write = on_write
        self._matrix: FloatArray = np.empty((0, EMBEDDING_SIZE), dtype=np.float32)
        self._rows: dict[str, int] = {}
        self.ids: list[str] = []

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def vectors(self) -> FloatArray:
        """All vectors, (n, 512); row i belongs to `ids[i]`."""
        return self._matrix[: len(self)]

    def rows(self, ids: Iterable[str]) -> FloatArray:
        """Return the vectors of these ids, (n, 512)."""
        return self._matrix[[self._rows[each] for each in ids]]

    def put(self, vector_id: str, vector: FloatArray) -> None:
        """Add a vector, (512,), or replace it when it is there."""
        row = self._rows.get(vector_id)
        if row is None:
            row = len(self)
            self._reserve(row + 1)
            self.ids.append(vector_id)
            self._rows[vector_id] = row
        self._matrix[row] = vector
        self._on_write(row)

    def remove(self, vector_id: str) -> None:
        """Remove a vector; the last row takes its place."""
        row = self._rows.pop(vector_id)
        last = self.ids.pop()
        if last != vector_id:
            self._matrix[row] = self._matrix[len(self)]
            self.ids[row] = last
            self._rows[last] = row
            self._on_write(row)

    def _reserve(self, rows: int) -> None:
        """Grow by doubling, so that filling the table copies each row about once."""
        capacity = len(self._matrix)
        if rows <= capacity:
            return
        grown = np.empty((max(rows, 2 * capacity, _FIRST_CAPACITY), EMBEDDING_SIZE), np.float32)
        grown[:capacity] = self._matrix
        self._matrix = grown


class CollectionIndex:
    """The faces of one collection, and the mean of each person's.

    A face is compared with the means. Of 1,583 LFW faces, with 2, 3 and 5 faces a person
    enrolled and 1 % of strangers let in, the mean finds 93.7, 94.7 and 96.5 % of the
    people, the best face 91.9, 93.0 and 95.8 % (docs/decisions/0014).

    Parameters
    ----------
    nearest : compares with the means.
    """

    def __init__(self, nearest: NearestRows | None = None) -> None:
        self._nearest = nearest or HostRows()
        self._faces = VectorTable()
        self._means = VectorTable(self._nearest.changed)
        self._person_of: dict[str, str] = {}
        self._faces_of: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._faces)

    @property
    def people(self) -> int:
        """How many people have faces."""
        return len(self._means)

    def put(self, face_id: str, person_id: str, vector: FloatArray) -> None:
        """Add a face, or replace it when it is there (the change feed may repeat itself).

        Parameters
        ----------
        vector : (512,) of unit length.
        """
        before = self._person_of.get(face_id)
        if before is not None and before != person_id:
            self.remove(face_id)
        self._faces.put(face_id, vector)
        self._person_of[face_id] = person_id
        self._faces_of.setdefault(person_id, set()).add(face_id)
        self._renew(person_id)

    def remove(self, face_id: str) -> None:
        """Remove a face; harmless when it is not there."""
        person_id = self._person_of.pop(face_id, None)
        if person_id is None:
            return
        self._faces.remove(face_id)
        self._faces_of[person_id].remove(face_id)
        self._renew(person_id)

    def search(self, probes: FloatArray, count: int) -> list[list[Hit]]:
        """Return the `count` nearest people of each probe, the most similar first.

        A person is as similar as the mean of that person's faces; each hit names the
        nearest of them.

        Parameters
        ----------
        probes : (m, 512) float32 rows of unit length.
        """
        means = self._means.vectors
        rows, similarities = self._nearest.find(means, probes, min(count, len(means)))
        return [
            [
                self._hit(self._means.ids[row], probe, similarity)
                for row, similarity in zip(*found, strict=True)
            ]
            for probe, *found in zip(probes, rows.tolist(), similarities.tolist(), strict=True)
        ]

    def _hit(self, person_id: str, probe: FloatArray, similarity: float) -> Hit:
        faces = sorted(self._faces_of[person_id])
        nearest = 0 if len(faces) == 1 else int(np.argmax(self._faces.rows(faces) @ probe))
        return Hit(person_id, faces[nearest], similarity, len(faces))

    def _renew(self, person_id: str) -> None:
        """Bring a person's mean up to date."""
        faces = self._faces_of[person_id]
        if not faces:
            del self._faces_of[person_id]
            self._means.remove(person_id)
            return
        self._means.put(person_id, mean_face(self._faces.rows(sorted(faces))))


def mean_face(faces: FloatArray) -> FloatArray:
    """Return the (512,) mean of a person's (n, 512) faces, of unit length again.

    Identification and verification both compare with it.
    """
    mean: FloatArray = faces.mean(axis=0)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0 else mean


class GalleryFeed(Protocol):
    """What the index follows (`faces.gallery.gallery.Gallery`)."""

    def load(self, model_tag: str) -> Snapshot: ...

    def changes_since(self, position: int, model_tag: str) -> Changes | None: ...


class GalleryIndex:
    """The faces of all tenants and collections that one model made.

    Empty until the first `follow`.

    Parameters
    ----------
    feed : the gallery of record.
    model_tag : only vectors of this tag are held and compared.
    make_nearest : makes what compares with the faces of one collection.
    """

    def __init__(
        self,
        feed: GalleryFeed,
        model_tag: str,
        make_nearest: Callable[[], NearestRows] = HostRows,
    ) -> None:
        self._feed = feed
        self._model_tag = model_tag
        self._make_nearest = make_nearest
        self._position: int | None = None
        self._clear()

    def _clear(self) -> None:
        self._collections: dict[tuple[str, str], CollectionIndex] = {}
        self._scopes: dict[str, tuple[str, str]] = {}
        self.names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    def follow(self) -> None:
        """Bring the copy up to date; what was enrolled before this call is in it after.

        Raises
        ------
        TransientError
            When the database is away; the copy stays as it was.
        """
        if self._position is not None:
            changes = self._feed.changes_since(self._position, self._model_tag)
            if changes is not None:
                self._apply(changes)
                return
        snapshot = self._feed.load(self._model_tag)
        self._clear()
        for face, vector in zip(snapshot.faces, snapshot.embeddings, strict=True):
            self._put(face, vector)
        self._position = snapshot.position

    def search(
        self, tenant: str, collection: str, probes: FloatArray, count: int
    ) -> list[list[Hit]]:
        """Return the `count` nearest people of the collection for each probe.

        Parameters
        ----------
        probes : (m, 512) float32 rows of unit length.
        """
        index = self._collections.get((tenant, collection))
        if index is None:
            return [[] for _ in probes]
        return index.search(probes, count)

    def size(self, tenant: str, collection: str) -> int:
        """Return with how many people a face of the collection is compared."""
        index = self._collections.get((tenant, collection))
        return 0 if index is None else index.people

    def _apply(self, changes: Changes) -> None:
        for face_id in changes.removed:
            self._remove(face_id)
        for face, vector in zip(changes.faces, changes.embeddings, strict=True):
            self._put(face, vector)
        self.names.update(
            (person, name) for person, name in changes.renamed.items() if person in self.names
        )
        self._position = changes.position

    def _put(self, face: GalleryFace, vector: FloatArray) -> None:
        scope = (face.tenant, face.collection)
        if self._scopes.get(face.face_id, scope) != scope:
            self._remove(face.face_id)
        self._scopes[face.face_id] = scope
        self.names[face.person_id] = face.name
        if scope not in self._collections:
            self._collections[scope] = CollectionIndex(self._make_nearest())
        index = self._collections[scope]
        index.put(face.face_id, face.person_id, vector)

    def _remove(self, face_id: str) -> None:
        scope = self._scopes.pop(face_id, None)
        if scope is None:
            return
        index = self._collections[scope]
        index.remove(face_id)
        if len(index) == 0:
            del self._collections[scope]
