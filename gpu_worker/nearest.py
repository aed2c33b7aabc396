"""The most similar rows of a matrix, exactly: the inner loop of the search.

Where the matrix lies decides who multiplies: numpy in the worker's memory, or a GPU
(`gpu_worker.backends.device.nearest`).
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_worker.backends.base import FloatArray

IndexArray = NDArray[np.int64]

_BLOCK_ROWS = 65_536
"""Rows compared at once: bounds the memory of the products, 8 MB for 32 probes."""


class NearestRows(Protocol):
    """Searches one matrix, whose owner says what it writes."""

    def changed(self, row: int) -> None:
        """A row was written, or another one took its place."""

    def find(
        self, rows: FloatArray, probes: FloatArray, count: int
    ) -> tuple[IndexArray, FloatArray]:
        """Return the `count` most similar rows of each probe, the most similar first.

        Parameters
        ----------
        rows : (n, 512) float32, the whole matrix as it is now; n at least `count`.
        probes : (m, 512) float32.

        Returns
        -------
        (m, count) row numbers, and (m, count) products; among equal products the order is
        open.
        """


class HostRows:
    """Searches in the worker's own memory, with numpy."""

    def changed(self, row: int) -> None:
        """Nothing to do: there is no copy."""

    def find(
        self, rows: FloatArray, probes: FloatArray, count: int
    ) -> tuple[IndexArray, FloatArray]:
        """Return the most similar rows; see `NearestRows`."""
        found = [np.empty((len(probes), 0), dtype=np.int64)]
        products = [np.empty((len(probes), 0), dtype=np.float32)]
        for start in range(0, len(rows), _BLOCK_ROWS):
            part = probes @ rows[start : start + _BLOCK_ROWS].T
            best = _largest(part, min(count, part.shape[1]))
            found.append(best + start)
            products.append(np.take_along_axis(part, best, axis=1))
        indices, values = np.concatenate(found, axis=1), np.concatenate(products, axis=1)
        best = _largest(values, count)
        order = np.argsort(-np.take_along_axis(values, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        return np.take_along_axis(indices, best, axis=1), np.take_along_axis(values, best, axis=1)


def _largest(values: FloatArray, count: int) -> IndexArray:
    """Return the columns of the `count` largest values of each row, in any order."""
    if count == 0:
        return np.empty((len(values), 0), dtype=np.int64)
    split = values.shape[1] - count
    top: IndexArray = np.argpartition(values, split, axis=1)[:, split:]
    return top
