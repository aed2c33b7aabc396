"""Similarities of many faces, and the curves that follow from them.

A photo without a face has no vector: it is like nobody, and similarity -1 stands for that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_worker.backends.base import FloatArray

_BINS = 8000
_BLOCK = 1024

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Faces:
    """One face a photo.

    Attributes
    ----------
    vectors : (n, 512) float32 of unit length; zeros where `found` is false.
    found : (n,) whether the photo has a face.
    person : (n,) whose photo it is.
    """

    vectors: FloatArray
    found: Mask
    person: Indices

    def similarities(self, rows: Indices, columns: Indices) -> FloatArray:
        """Return (len(rows), len(columns)) cosines, -1 where there is no face."""
        cosines: FloatArray = self.vectors[rows] @ self.vectors[columns].T
        cosines[~self.found[rows]] = -1
        cosines[:, ~self.found[columns]] = -1
        return cosines

    def paired(self, first: Indices, second: Indices) -> FloatArray:
        """Return the cosines of pairs of photos, -1 where one has no face."""
        cosines: FloatArray = np.einsum("nd,nd->n", self.vectors[first], self.vectors[second])
        cosines[~(self.found[first] & self.found[second])] = -1
        return cosines


@dataclass(frozen=True)
class Comparisons:
    """All photos with a face, each compared with each other once.

    Attributes
    ----------
    genuine : cosines of pairs of one person.
    owner : (len(genuine),) whose pairs they are.
    weight : (len(genuine),) so that each person counts the same; sums to 1.
    edges, strangers : histogram of the cosines of pairs of two people.
    """

    genuine: Floats
    owner: Indices
    weight: Floats
    edges: Floats
    strangers: NDArray[np.int64]

    def far(self, threshold: float) -> float:
        """Return the share of pairs of two people at or above the threshold."""
        above = self.strangers[np.searchsorted(self.edges, threshold, side="left") :]
        return float(above.sum() / max(1, self.strangers.sum()))

    def threshold(self, far: float) -> float:
        """Return the lowest threshold with at most this false accept rate a comparison."""
        above = np.cumsum(self.strangers[::-1])[::-1]
        within = np.flatnonzero(above <= far * above[0])
        return float(self.edges[within[0]]) if len(within) else 1.0

    def tar(self, threshold: float, drawn: Floats | None = None) -> float:
        """Return the share of pairs of one person at or above it, each person counting alike.

        Parameters
        ----------
        drawn : how many times each person counts, for a bootstrap.
        """
        weight = self.weight if drawn is None else self.weight * drawn[self.owner]
        total = float(weight.sum())
        return float(weight[self.genuine >= threshold].sum()) / total if total else math.nan


def compare_all(faces: Faces) -> Comparisons:
    """Compare each face with each other, in blocks: 13,000 photos make 87 million pairs."""
    index = np.flatnonzero(faces.found)
    vectors, person = faces.vectors[index], faces.person[index]
    edges = np.linspace(-1, 1, _BINS + 1)
    strangers = np.zeros(_BINS, dtype=np.int64)
    genuine, owner = [np.empty(0)], [np.empty(0, dtype=np.intp)]
    for start in range(0, len(index), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(index)))
        cosines = vectors[rows] @ vectors[start:].T
        upper = np.triu(np.ones(cosines.shape, dtype=bool), 1)
        same = person[rows][:, None] == person[start:][None]
        others = cosines[upper & ~same]
        slots = ((others + 1) * (_BINS / 2)).astype(np.int64).clip(0, _BINS - 1)
        strangers += np.bincount(slots, minlength=_BINS)
        own = upper & same
        genuine.append(cosines[own].astype(np.float64))
        owner.append(np.broadcast_to(person[rows][:, None], own.shape)[own])
    whose = np.concatenate(owner)
    weight = 1.0 / np.bincount(whose, minlength=int(person.max(initial=0)) + 1)[whose]
    weight /= max(1e-12, float(weight.sum()))
    return Comparisons(np.concatenate(genuine), whose, weight, edges[:-1], strangers)


def stack(vectors: Sequence[FloatArray | None], person: Indices) -> Faces:
    """Return the faces of photos, None where one has no face."""
    rows = [np.zeros(512, dtype=np.float32) if v is None else v for v in vectors]
    found = np.array([vector is not None for vector in vectors])
    return Faces(np.stack(rows), found, person)
