"""The worker's own copy of the gallery: exact search by matrix product (`gpu_worker.nearest`).

One index a collection. Up to about a million faces this is faster for batches than an
approximate index in the database, and it never misses the best match: half precision, in which
the gallery of record keeps vectors, finds candidates with room for its errors, and float64
decides among them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from faces.gallery.vectors import Changes, GalleryFace, Snapshot
from gpu_worker.backends.base import FloatArray
from gpu_worker.halves import WIDENING_ERROR, HalfArray, IndexArray, Vector, VectorTable
from gpu_worker.nearest import HostRows, NearestRows

_SPARE = 8
"""Candidates that are looked at beside those that are asked for."""

_ROUNDING = 2.0**-11 + 2.0**-14
"""How far half precision moves a vector of unit length at most, and float32 its products."""

_AT_ONCE = 2048
"""Candidates that are compared at once: many only where many people look the same."""

_SHORTEST = 1e-9
_DIGITS = 12  # beyond them float64 rounds; who is equal up to there is equal

_DoubleArray = NDArray[np.float64]
_Real = TypeVar("_Real", np.float32, np.float64)


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


class CollectionIndex:
    """The faces of one collection, and the mean of each person's.

    A face is compared with the means. Of 1,583 LFW faces, with 2, 3 and 5 faces a person
    enrolled and 1 % of strangers let in, the mean finds 93.7, 94.7 and 96.5 % of the
    people, the best face 91.9, 93.0 and 95.8 % (docs/decisions/0014).

    Takes 1 KB for each person and, where a person has several, for each face, and some 0.8 KB
    for the ids of each.

    Parameters
    ----------
    nearest : finds candidates.
    """

    def __init__(self, nearest: NearestRows | None = None) -> None:
        self._nearest = nearest or HostRows()
        # A person's only face, or the mean of several.
        self._people = VectorTable(self._nearest.changed)
        self._faces = VectorTable()
        self._person_of: dict[str, str] = {}
        self._faces_of: dict[str, tuple[str, ...]] = {}
        self._longest_error = 0.0

    def __len__(self) -> int:
        return len(self._person_of)

    @property
    def people(self) -> int:
        """How many people have faces."""
        return len(self._people)

    def put(self, face_id: str, person_id: str, vector: Vector) -> None:
        """Add a face, or replace it when it is there (the change feed may repeat itself).

        Parameters
        ----------
        vector : (512,) of about unit length; kept in half precision.
        """
        before = self._person_of.get(face_id)
        if before is not None and before != person_id:
            self.remove(face_id)
        owned = self._faces_of.get(person_id, ())
        if len(owned) == 1 and owned[0] != face_id:
            self._faces.put(owned[0], self._people[person_id])
        if face_id not in owned:
            owned = tuple(sorted((*owned, face_id)))
        self._person_of[face_id] = person_id
        self._faces_of[person_id] = owned
        if len(owned) == 1:
            self._put_only(person_id, vector)
        else:
            self._faces.put(face_id, vector)
            self._people.put(person_id, self._mean(owned).astype(np.float32))

    def remove(self, face_id: str) -> None:
        """Remove a face; harmless when it is not there."""
        person_id = self._person_of.pop(face_id, None)
        if person_id is None:
            return
        left = tuple(each for each in self._faces_of[person_id] if each != face_id)
        if not left:
            del self._faces_of[person_id]
            self._people.remove(person_id)
            return
        self._faces_of[person_id] = left
        self._faces.remove(face_id)
        if len(left) == 1:
            self._put_only(person_id, self._faces[left[0]])
            self._faces.remove(left[0])
        else:
            self._people.put(person_id, self._mean(left).astype(np.float32))

    def search(self, probes: FloatArray, count: int) -> list[list[Hit]]:
        """Return the `count` nearest people of each probe, the most similar first.

        A person is as similar as the mean of that person's faces, by the vectors as the gallery
        of record has them, in float64; equally similar people come in the order of their ids.
        Each hit names the nearest of the person's faces.

        Parameters
        ----------
        probes : (m, 512) float32 rows of unit length.
        """
        count = min(count, len(self._people))
        if count == 0 or len(probes) == 0:
            return [[] for _ in probes]
        return [
            self._best(probe.astype(np.float64), rows, count)
            for probe, rows in zip(probes, self._candidates(probes, count), strict=True)
        ]

    def _candidates(self, probes: FloatArray, count: int) -> list[IndexArray]:
        """Return the rows that may be among the `count` nearest, for each probe."""
        error = self._longest_error + _ROUNDING + WIDENING_ERROR
        room = 2 * error * np.linalg.norm(probes, axis=1)
        people, asked = self._people, min(len(self._people), count + _SPARE)
        while True:
            rows, products = self._nearest.find(people.vectors, probes, asked)
            least = products[:, count - 1] - room
            if asked == len(people) or (products[:, -1] < least).all():
                break
            asked = min(len(people), 4 * asked)
        return [
            each[similar >= limit]
            for each, similar, limit in zip(rows, products, least, strict=True)
        ]

    def _best(self, probe: _DoubleArray, rows: IndexArray, count: int) -> list[Hit]:
        """Return the nearest people of one probe among candidates."""
        best: list[Hit] = []
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            vectors = _units(self._people.vectors.take(part))
            found = zip(part.tolist(), (vectors @ probe).tolist(), strict=True)
            best += [self._hit(self._people.ids[row], probe, only) for row, only in found]
            best = sorted(best, key=lambda hit: (-hit.similarity, hit.person_id))[:count]
        return best

    def _hit(self, person_id: str, probe: _DoubleArray, only: float) -> Hit:
        """Compare with a person; `only` is right where that is with one face."""
        owned = self._faces_of[person_id]
        if len(owned) == 1:
            return Hit(person_id, owned[0], round(only, _DIGITS))
        faces = self._vectors(owned)
        exact, nearest = float(mean_face(faces) @ probe), int(np.argmax(faces @ probe))
        return Hit(person_id, owned[nearest], round(exact, _DIGITS), len(owned))

    def _put_only(self, person_id: str, vector: Vector) -> None:
        self._people.put(person_id, vector)
        # The search takes all for vectors of unit length.
        error = abs(float(np.linalg.norm(vector.astype(np.float32))) - 1)
        self._longest_error = max(self._longest_error, error)

    def _vectors(self, faces: Sequence[str]) -> _DoubleArray:
        return _units(np.stack([self._faces[each] for each in faces]))

    def _mean(self, faces: Sequence[str]) -> _DoubleArray:
        return mean_face(self._vectors(faces))


def _units(vectors: HalfArray) -> _DoubleArray:
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True).clip(_SHORTEST)
    return exact


def mean_face(faces: NDArray[_Real]) -> NDArray[_Real]:
    """Return the (512,) mean of a person's (n, 512) faces, of unit length again.

    Identification and verification both compare with it.
    """
    mean: NDArray[_Real] = faces.mean(axis=0)
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
        self._same: dict[tuple[str, str], tuple[str, str]] = {}
        self.names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    def follow(self) -> None:
        """Bring the copy up to date; what was enrolled before this call is in it after.

        Raises
        ------
        TransientError
            When the database is away; the copy stays as it was, or is empty where all of it
            has to be loaded again.
        """
        if self._position is not None:
            changes = self._feed.changes_since(self._position, self._model_tag)
            if changes is not None:
                self._apply(changes)
                return
        # Before the new one is there: there is no room for two.
        self._position = None
        self._clear()
        snapshot = self._feed.load(self._model_tag)
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

    def _put(self, face: GalleryFace, vector: HalfArray) -> None:
        scope = (face.tenant, face.collection)
        scope = self._same.setdefault(scope, scope)  # one tuple for all faces of a collection
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
