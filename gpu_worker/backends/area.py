"""Exact "area" resampling of many parts of one photo, from one integral image.

PyTorch's `interpolate(mode="area")`, by which facenet-pytorch makes MTCNN's inputs, is
the mean over the pixels from `floor(i * n / m)` up to `ceil((i + 1) * n / m)`. Sums of
bytes are whole numbers, so that an integral image (Crow 1984) gives the very same means,
bit for bit, and each output costs four reads whatever its window holds. OpenCV's
INTER_AREA weighs the pixels at the edges of a window and is another filter.
"""

import numpy as np
from numpy.typing import NDArray

from gpu_worker.backends.base import FloatArray, RgbImage

IndexArray = NDArray[np.int64]
PackedArray = NDArray[np.uint64]

# Red, green and blue share a 64-bit word: differences of packed sums are packed sums of
# differences (arithmetic modulo 2**64), as long as each window's sum fits its field.
_FIELD_BITS = 21
_FIELD = np.uint64((1 << _FIELD_BITS) - 1)
_SHIFTS = (np.uint64(0), np.uint64(_FIELD_BITS), np.uint64(2 * _FIELD_BITS))
_WINDOW_PX = ((1 << _FIELD_BITS) - 1) // 255

# Rows worked on at once: what they need shall stay in a core's second-level cache.
_BLOCK_BYTES = 1 << 18

_MEAN = np.float32(127.5)
_SCALE = np.float32(0.0078125)


def windows(start: IndexArray, length: IndexArray, outputs: int) -> tuple[IndexArray, IndexArray]:
    """Return first and last + 1 pixel of each output's window.

    Parameters
    ----------
    start, length : (n,) the part of the axis that is resampled, in pixels.
    outputs : how many means are taken of each part.

    Returns
    -------
    two (n, outputs) arrays.
    """
    i = np.arange(outputs, dtype=np.int64)
    first = start[:, None] + i * length[:, None] // outputs
    end = start[:, None] - (i + 1) * length[:, None] // -outputs
    return first, end


class IntegralImage:
    """Sums over a photo's rectangles.

    Takes 8 bytes for each pixel of the rows that are kept.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB.
    room : rows that are kept at the same time. With None all are summed at once; else none
        before `advance`.
    """

    def __init__(self, image: RgbImage, room: int | None = None) -> None:
        self.height, self.width = image.shape[:2]
        self.bottom = 0
        """Rows above this one are summed."""
        self._image = image
        # A ring: the sums above row r lie in slot r % slots.
        self._slots = min(room or self.height, self.height) + 1
        self._sums: PackedArray = np.empty((self._slots, self.width + 1), dtype=np.uint64)
        self._sums[0] = 0
        self._sums[:, 0] = 0
        if room is None:
            self.advance(0)

    def advance(self, needed: int) -> None:
        """Sum further rows, as many as there is room for; those above `needed` are lost."""
        end = min(self.height, needed + self._slots - 1)
        block = max(1, _BLOCK_BYTES // (8 * self.width))
        while self.bottom < end:
            slot = (self.bottom + 1) % self._slots
            rows = min(block, end - self.bottom, self._slots - slot)
            pixels = self._image[self.bottom : self.bottom + rows]
            part = self._sums[slot : slot + rows, 1:]
            part[:] = pixels[..., 2]
            part <<= _SHIFTS[1]
            part |= pixels[..., 1]
            part <<= _SHIFTS[1]
            part |= pixels[..., 0]
            np.cumsum(part, axis=1, out=part)
            for row in range(slot, slot + rows):
                self._sums[row] += self._sums[row - 1]  # slot -1 is the last one
            self.bottom += rows

    def resample(
        self, height: int, width: int, first: int, end: int, out: FloatArray | None = None
    ) -> FloatArray:
        """Return rows `first` to `end` of the whole photo resampled to (height, width).

        Returns
        -------
        (end - first, width, 3) float32, standardised as MTCNN wants it: (mean - 127.5) / 128;
        `out` where it is given.
        """
        tops, bottoms = axis_windows(self.height, height)
        lefts, rights = axis_windows(self.width, width)
        if out is None:
            out = np.empty((end - first, width, 3), dtype=np.float32)
        block = max(1, _BLOCK_BYTES // (8 * self.width))
        for start in range(first, end, block):
            rows = slice(start, min(end, start + block))
            into = out[rows.start - first : rows.stop - first]
            self.means(tops[rows], bottoms[rows], lefts, rights, into)
        return out

    def means(
        self,
        tops: IndexArray,
        bottoms: IndexArray,
        lefts: IndexArray,
        rights: IndexArray,
        out: FloatArray | None = None,
    ) -> FloatArray:
        """Return the standardised means over all pairs of (top, bottom) and (left, right).

        Returns
        -------
        (len(tops), len(lefts), 3) float32; `out` where it is given.
        """
        if out is None:
            out = np.empty((len(tops), len(lefts), 3), dtype=np.float32)
        sums = self._row_sums(tops, bottoms, lefts, rights)
        _standardise(sums, (bottoms - tops)[:, None], rights - lefts, out)
        return out

    def _row_sums(
        self, tops: IndexArray, bottoms: IndexArray, lefts: IndexArray, rights: IndexArray
    ) -> list[NDArray[np.uint64]]:
        """Return the sums of each channel over all pairs of (top, bottom) and (left, right)."""
        parts = _parts(int((bottoms - tops).max()), int((rights - lefts).max()))
        total: list[NDArray[np.uint64]] = []
        for n in range(parts):
            upper, lower = _part(tops, bottoms, n, parts)
            strips = self._sums.take(lower % self._slots, axis=0)
            strips -= self._sums.take(upper % self._slots, axis=0)
            packed = strips.take(rights, axis=1)
            packed -= strips.take(lefts, axis=1)
            total = _add(total, packed)
        return total

    def crops(self, boxes: IndexArray, size: int) -> FloatArray:
        """Return parts of the photo, each resampled to (size, size).

        Parameters
        ----------
        boxes : (n, 4) left, top, right, bottom in whole pixels, inside the photo, not empty.

        Returns
        -------
        (n, size, size, 3) float32, standardised.
        """
        tops, bottoms, lefts, rights = box_windows(boxes, size)
        out = np.empty((len(boxes), size, size, 3), dtype=np.float32)
        if len(boxes):
            self.windows(
                tops[:, :, None], bottoms[:, :, None], lefts[:, None, :], rights[:, None, :], out
            )
        return out

    def windows(
        self,
        tops: IndexArray,
        bottoms: IndexArray,
        lefts: IndexArray,
        rights: IndexArray,
        out: FloatArray,
    ) -> None:
        """Write the standardised means of single windows.

        Parameters
        ----------
        tops, bottoms, lefts, rights : their edges, of shapes that broadcast to one, (...).
        out : (..., 3) float32.
        """
        flat = self._sums.reshape(-1)
        stride = self.width + 1
        parts = _parts(int((bottoms - tops).max()), int((rights - lefts).max()))
        total: list[NDArray[np.uint64]] = []
        for n in range(parts):
            upper, lower = (edge % self._slots * stride for edge in _part(tops, bottoms, n, parts))
            packed = flat.take(lower + rights)
            packed -= flat.take(lower + lefts)
            packed -= flat.take(upper + rights)
            packed += flat.take(upper + lefts)
            total = _add(total, packed)
        _standardise(total, bottoms - tops, rights - lefts, out)


def box_windows(
    boxes: IndexArray, size: int
) -> tuple[IndexArray, IndexArray, IndexArray, IndexArray]:
    """Return the windows of boxes, (n, 4), that are resampled to (size, size).

    Returns
    -------
    top, bottom, left and right edges, (n, size) each.
    """
    lefts, rights = windows(boxes[:, 0], boxes[:, 2] - boxes[:, 0], size)
    tops, bottoms = windows(boxes[:, 1], boxes[:, 3] - boxes[:, 1], size)
    return tops, bottoms, lefts, rights


def axis_windows(length: int, outputs: int) -> tuple[IndexArray, IndexArray]:
    """Return the windows of a whole axis that is resampled; two (outputs,) arrays."""
    first, end = windows(np.zeros(1, np.int64), np.full(1, length), outputs)
    return first[0], end[0]


def _parts(height: int, width: int) -> int:
    """Return in how many parts windows have to be summed so that none overflows its field."""
    return -(-height // max(1, _WINDOW_PX // width))


def _part(
    tops: IndexArray, bottoms: IndexArray, number: int, parts: int
) -> tuple[IndexArray, IndexArray]:
    if parts == 1:
        return tops, bottoms
    heights = bottoms - tops
    return tops + heights * number // parts, tops + heights * (number + 1) // parts


def _add(total: list[NDArray[np.uint64]], packed: PackedArray) -> list[NDArray[np.uint64]]:
    channels = [packed >> shift & _FIELD for shift in _SHIFTS]
    if not total:
        return channels
    return [old + new for old, new in zip(total, channels, strict=True)]


def _standardise(
    sums: list[NDArray[np.uint64]], heights: IndexArray, widths: IndexArray, out: FloatArray
) -> None:
    """Write the standardised means; the order of the operations decides the last bit."""
    down, across = heights.astype(np.float32), widths.astype(np.float32)
    for channel, values in enumerate(sums):
        means = values.astype(np.float32)
        means /= down
        means /= across
        means -= _MEAN
        means *= _SCALE
        out[..., channel] = means
