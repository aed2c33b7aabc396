"""Exact search on a device, which keeps a copy of the vectors."""

import numpy as np
import torch

from gpu_worker.backends.base import EMBEDDING_SIZE, FloatArray
from gpu_worker.backends.device.graphs import Lane
from gpu_worker.halves import HalfRows, IndexArray

_PRODUCTS = 128 * 1024 * 1024
"""Compared at once, 4 bytes each."""


class DeviceRows:
    """Compares on a device; see `gpu_worker.nearest.NearestRows`.

    Takes 2 to 4 KB a row there, with room to grow. What changed since the last search is
    brought there with the next one, so that an enrolment costs one row and not the matrix. In
    float32, as on the host.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._lane = Lane(device)
        self._copy: torch.Tensor | None = None
        self._changed: set[int] = set()

    def changed(self, row: int) -> None:
        """Bring this row again before the next search."""
        if self._copy is not None:  # else all are brought
            self._changed.add(row)

    def find(self, rows: HalfRows, probes: FloatArray, count: int) -> tuple[IndexArray, FloatArray]:
        """Return the most similar rows."""
        if count == 0:
            return (
                np.empty((len(probes), 0), dtype=np.int64),
                np.empty((len(probes), 0), dtype=np.float32),
            )
        with self._lane.open():
            known = self._follow(rows)
            asked = torch.from_numpy(np.ascontiguousarray(probes)).to(self._device)
            step = max(count, _PRODUCTS // max(1, len(asked)))
            values, places = [], []
            for start in range(0, len(known), step):
                part = asked @ known[start : start + step].T
                best = part.topk(min(count, part.shape[1]), dim=1)
                values.append(best.values)
                places.append(best.indices + start)
            all_values, all_places = torch.cat(values, dim=1), torch.cat(places, dim=1)
            best = all_values.topk(count, dim=1)
            found = all_places.gather(1, best.indices)
            return found.cpu().numpy(), best.values.cpu().numpy()

    def _follow(self, rows: HalfRows) -> torch.Tensor:
        """Return the copy, brought up to date; (n, 512)."""
        count = len(rows)
        if self._copy is None or len(self._copy) < count:
            # Twice as much as is there, or each new face would copy all.
            self._copy = torch.empty((2 * count, EMBEDDING_SIZE), device=self._device)
            start = 0
            for block in rows.blocks():
                self._copy[start : start + len(block)] = torch.from_numpy(block)
                start += len(block)
        elif changed := sorted(row for row in self._changed if row < count):
            part = torch.from_numpy(rows.take(np.array(changed)))
            at = torch.tensor(changed, device=self._device)
            self._copy[at] = part.to(self._device).float()
        self._changed.clear()
        return self._copy[:count]
