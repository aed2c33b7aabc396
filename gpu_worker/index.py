"""The worker's own copy of the gallery: exact search by matrix product.

One index a collection. Up to about a million faces this is faster for batches than an
approximate index in the database, and it never misses the best match.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faces.gallery.vectors import Changes, GalleryFace, Snapshot
from gpu_worker.backends.base import EMBEDDING_SIZE, FloatArray

_FIRST_CAPACITY = 64


@dataclass(frozen=True)
class Hit:
    """A person and the nearest of that person's faces; `similarity` is a cosine."""

    person_id: str
    face_id: str
    similarity: float


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
        """Return how many faces the collection has."""


class CollectionIndex:
    """The faces of one collection."""

    def __init__(self) -> None:
        self._vectors: FloatArray = np.empty((0, EMBEDDING_SIZE), dtype=np.float32)
        self._face_ids: list[str] = []
        self._person_ids: list[str] = []
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._face_ids)

    def put(self, face_id: str, person_id: str, vector: FloatArray) -> None:
        """Add a face, or replace it when it is there (the change feed may repeat itself).

        Parameters
        ----------
        vector : (512,) of unit length.
        """
        row = self._rows.get(face_id)
        if row is None:
            row = len(self._face_ids)
            self._reserve(row + 1)
            self._face_ids.append(face_id)
            self._person_ids.append(person_id)
            self._rows[face_id] = row
        self._person_ids[row] = person_id
        self._vectors[row] = vector

    def remove(self, face_id: str) -> None:
        """Remove a face; harmless when it is not there. The last row takes its place."""
        row = self._rows.pop(face_id, None)
        if row is None:
            return
        last = len(self._face_ids) - 1
        if row != last:
            self._vectors[row] = self._vectors[last]
            self._face_ids[row] = self._face_ids[last]
            self._person_ids[row] = self._person_ids[last]
            self._rows[self._face_ids[row]] = row
        self._face_ids.pop()
        self._person_ids.pop()

    def search(self, probes: FloatArray, count: int) -> list[list[Hit]]:
        """Return the `count` nearest people of each probe, the most similar first.

        A person is as similar as the best of that person's faces.

        Parameters
        ----------
        probes : (m, 512) float32 rows of unit length.
        """
        similarities = probes @ self._vectors[: len(self)].T
        return [self._best_people(row, count) for row in similarities]

    def _best_people(self, similarities: FloatArray, count: int) -> list[Hit]:
        """Widen the look at the best faces until they belong to `count` people."""
        total = len(similarities)
        wanted = min(total, 4 * count)
        while True:
            hits: dict[str, Hit] = {}
            for row in _largest(similarities, wanted):
                person_id = self._person_ids[row]
                if person_id not in hits:
                    similarity = float(similarities[row])
                    hits[person_id] = Hit(person_id, self._face_ids[row], similarity)
                if len(hits) == count:
                    return list(hits.values())
            if wanted == total:
                return list(hits.values())
            wanted = min(total, 4 * wanted)

    def _reserve(self, rows: int) -> None:
        """Grow by doubling, so that filling the index copies each row about once."""
        capacity = len(self._vectors)
        if rows <= capacity:
            return
        grown = np.empty((max(rows, 2 * capacity, _FIRST_CAPACITY), EMBEDDING_SIZE), np.float32)
        grown[:capacity] = self._vectors
        self._vectors = grown


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
    """

    def __init__(self, feed: GalleryFeed, model_tag: str) -> None:
        self._feed = feed
        self._model_tag = model_tag
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
        """Return how many faces the collection has."""
        index = self._collections.get((tenant, collection))
        return 0 if index is None else len(index)

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
        index = self._collections.setdefault(scope, CollectionIndex())
        index.put(face.face_id, face.person_id, vector)

    def _remove(self, face_id: str) -> None:
        scope = self._scopes.pop(face_id, None)
        if scope is None:
            return
        index = self._collections[scope]
        index.remove(face_id)
        if len(index) == 0:
            del self._collections[scope]


def _largest(values: FloatArray, count: int) -> Sequence[int]:
    """Return the indices of the `count` largest values, the largest first."""
    if count == 0:
        return []
    split = len(values) - count
    top: NDArray[np.intp] = np.argpartition(values, split)[split:]
    return [int(index) for index in top[np.argsort(-values[top], kind="stable")]]
