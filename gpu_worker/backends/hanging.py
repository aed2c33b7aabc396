"""Edges that hang on rounding, worked out again in float64.

MTCNN cuts its candidates out at whole pixels. Where an edge falls within a network's rounding
of one, such as 62.000015 of which one library makes 62.000008 and another 61.999985, the
order in which a library sums decides what is cut, and with it the box. Of such edges the
exact value is found: who sums well, as facenet-pytorch's libraries do here, agrees with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_worker.backends import mtcnn
from gpu_worker.backends.area import IntegralImage, windows
from gpu_worker.backends.base import FloatArray, RgbImage
from gpu_worker.backends.precise import PreciseNets

SHARE, LEAST = 5e-7, 1e-5
"""How far rounding moves an edge, with some room: of edge and size, and in any case, in px."""


@dataclass(frozen=True, eq=False)
class Traces:
    """Where candidates come from.

    Attributes
    ----------
    cells : (n, 3) int64, level, row and column of P-Net's answer.
    starts : (n, 4) float32, the cell in the photo's pixels.
    cuts : (n, 4) int64, what R-Net saw, in the photo's pixels.
    """

    cells: mtcnn.IndexArray
    starts: FloatArray
    cuts: mtcnn.IndexArray

    def __getitem__(self, which: NDArray[np.generic]) -> "Traces":
        return Traces(self.cells[which], self.starts[which], self.cuts[which])


def hanging(boxes: FloatArray) -> mtcnn.IndexArray:
    """Return the indices of boxes with an edge that rounding could move over a whole pixel."""
    sides = boxes[:, 2:] - boxes[:, :2]
    room = SHARE * (np.abs(boxes) + np.concatenate([sides, sides], axis=1)) + LEAST
    indices: mtcnn.IndexArray = (np.abs(boxes - np.rint(boxes)) < room).any(axis=1).nonzero()[0]
    return indices


class Referee:
    """Decides hanging edges of one photo.

    Parameters
    ----------
    levels : of its pyramid, as `mtcnn.pyramid` gives them.
    """

    def __init__(
        self, nets: PreciseNets, image: RgbImage, levels: Sequence[tuple[float, int, int]]
    ) -> None:
        self._nets = nets
        self._image = image
        self._levels = levels

    def proposed(self, traces: Traces) -> FloatArray:
        """Return P-Net's squared boxes, (n, 4)."""
        offsets = np.stack([self._pnet(*cell) for cell in traces.cells.tolist()])
        return mtcnn.square(mtcnn.shift_cells(traces.starts, offsets))

    def refined(self, traces: Traces) -> FloatArray:
        """Return R-Net's squared boxes, (n, 4)."""
        offsets = self._nets.rnet(self._cut(traces.cuts, 24))
        return mtcnn.square(mtcnn.shift(self.proposed(traces), offsets))

    def final(self, traces: Traces, cuts: mtcnn.IndexArray) -> FloatArray:
        """Return O-Net's boxes, (n, 4), which saw `cuts`, (n, 4)."""
        return mtcnn.shift(self.refined(traces), self._nets.onet(self._cut(cuts, 48)))

    def _pnet(self, level: int, row: int, column: int) -> FloatArray:
        _, height, width = self._levels[level]
        tops, bottoms = self._windows(0, height, mtcnn.STRIDE * row)
        lefts, rights = self._windows(1, width, mtcnn.STRIDE * column)
        left, top = int(lefts[0]), int(tops[0])
        part = IntegralImage(self._image[top : int(bottoms[-1]), left : int(rights[-1])])
        means = part.means(tops - top, bottoms - top, lefts - left, rights - left)
        pixels = np.zeros((mtcnn.CELL_PX, mtcnn.CELL_PX, 3), dtype=np.float32)
        pixels[: len(tops), : len(lefts)] = means
        return self._nets.pnet(pixels, len(tops), len(lefts))

    def _windows(
        self, axis: int, outputs: int, first: int
    ) -> tuple[mtcnn.IndexArray, mtcnn.IndexArray]:
        """Return the windows of the pixels of a level that a cell sees along an axis."""
        length = self._image.shape[axis]
        starts, ends = windows(np.zeros(1, np.int64), np.full(1, length), outputs)
        seen = slice(first, first + mtcnn.CELL_PX)
        return starts[0, seen], ends[0, seen]

    def _cut(self, boxes: mtcnn.IndexArray, size: int) -> FloatArray:
        crops = []
        for left, top, right, bottom in boxes.tolist():
            part = IntegralImage(self._image[top:bottom, left:right])
            crops.append(part.crops(np.array([[0, 0, right - left, bottom - top]]), size)[0])
        return np.stack(crops)
