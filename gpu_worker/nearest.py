"""The most similar rows of a matrix: the inner loop of the search.

Where the matrix lies decides who multiplies: numpy in the worker's memory, or a GPU
(`gpu_worker.backends.device.nearest`).
"""

from typing import Protocol

import numpy as np

from gpu_worker.backends.base import EMBEDDING_SIZE, FloatArray
from gpu_worker.halves import BLOCK_ROWS, HalfRows, IndexArray, widen

_BLOCK_COUNT = 16
"""Blocks whose products are compared at once: 8 MB for 32 probes."""

_WIDE_ROWS = 1024
"""Rows in float32 at a time; 2 MB, which stay in a core's cache."""


class NearestRows(Protocol):
    """Searches one matrix, whose owner says what it writes."""

    def changed(self, row: int) -> None:
        """A row was written, or another one took its place."""

    def find(self, rows: HalfRows, probes: FloatArray, count: int) -> tuple[IndexArray, FloatArray]:
        """Return the `count` most similar rows of each probe, the most similar first.

        Parameters
        ----------
        rows : the whole matrix as it is now, at least `count` rows.
        probes : (m, 512) float32.

        Returns
        -------
        (m, count) row numbers, and (m, count) products, which err by the length of the probe
        times `halves.WIDENING_ERROR` and rounding in float32 at most; among equal products the
        order is open.
        """


class HostRows:
    """Searches in the worker's own memory, with numpy."""

    def changed(self, row: int) -> None:
        """Nothing to do: there is no copy."""

    def find(self, rows: HalfRows, probes: FloatArray, count: int) -> tuple[IndexArray, FloatArray]:
        """Return the most similar rows; see `NearestRows`."""
        found = [np.empty((len(probes), 0), dtype=np.int64)]
        values = [np.empty((len(probes), 0), dtype=np.float32)]
        wide = np.empty((min(_WIDE_ROWS, len(rows)), EMBEDDING_SIZE), dtype=np.int32)
        room = min(_BLOCK_COUNT * BLOCK_ROWS, len(rows))
        products = np.empty((len(probes), room), dtype=np.float32)
        start = filled = 0
        for block in rows.blocks():
            for first in range(0, len(block), _WIDE_ROWS):
                part = block[first : first + _WIDE_ROWS]
                products[:, filled : filled + len(part)] = probes @ widen(part, wide[: len(part)]).T
                filled += len(part)
            if filled == room or start + filled == len(rows):
                best = _largest(products[:, :filled], min(count, filled))
                found.append(best + start)
                values.append(np.take_along_axis(products, best, axis=1))
                start, filled = start + filled, 0
        indices, similar = np.concatenate(found, axis=1), np.concatenate(values, axis=1)
        best = _largest(similar, count)
        order = np.argsort(-np.take_along_axis(similar, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        return np.take_along_axis(indices, best, axis=1), np.take_along_axis(similar, best, axis=1)


def _largest(values: FloatArray, count: int) -> IndexArray:
    """Return the columns of the `count` largest values of each row, in any order."""
    if count == 0:
        return np.empty((len(values), 0), dtype=np.int64)
    split = values.shape[1] - count
    top: IndexArray = np.argpartition(values, split, axis=1)[:, split:]
    return top
