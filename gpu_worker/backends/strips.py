"""A photo's pyramid and crops, with memory that does not grow with the photo.

An integral image takes 8 bytes a pixel, 96 MB of twelve megapixels. All that is read from it
are windows of limited height, so that of a large photo only a strip is summed at a time, and
whatever lies in it is read before the next one. Each way through a photo costs a few
milliseconds a megapixel; photos of ordinary size are summed once.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from gpu_worker.backends.area import IndexArray, IntegralImage, axis_windows, box_windows
from gpu_worker.backends.base import FloatArray, RgbImage

WHOLE_PX = 1 << 22
"""Photos of more pixels are summed in strips; 32 MB."""

_STRIP_BYTES = 1 << 24
_MOST_CROPS = 16 * 128
"""On each way through a large photo; 14 MB of 24 px. Batches must not straddle two ways."""

_CROP_ROWS = 1 << 12
"""Of crops, worked on at once: 5 MB in passing."""

Bands = Sequence[tuple[int, int]]
"""First and last + 1 row, from top to bottom; each begins within the one before, or after it."""


class PhotoSums:
    """What is read from a photo through its sums, whatever its size.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB.
    """

    def __init__(self, image: RgbImage) -> None:
        self.height, self.width = image.shape[:2]
        self._image = image
        small = self.height * self.width <= WHOLE_PX
        self._whole = IntegralImage(image) if small else None

    def bands(
        self, levels: Sequence[tuple[int, int, Bands]]
    ) -> Iterator[tuple[int, int, FloatArray]]:
        """Return the photo resampled to levels of (height, width), band by band.

        Returns
        -------
        number of the level, number of the band, and its pixels, (rows, width, 3) float32,
        standardised, which are only good until the next band is asked for. In any order.
        """
        open_levels = [_Level(number, self.height, *level) for number, level in enumerate(levels)]
        tallest = max((level.tallest for level in open_levels), default=1)
        sums = self._whole or self._strips(tallest)
        while open_levels:
            if self._whole is None:
                sums.advance(min(level.needed for level in open_levels))
            for level in open_levels:
                yield from level.ready(sums)
            open_levels = [level for level in open_levels if not level.done]

    def crops(self, boxes: IndexArray, size: int, batch: int) -> Iterator[FloatArray]:
        """Return parts of the photo, each resampled to (size, size), some at a time.

        Parameters
        ----------
        boxes : (n, 4) left, top, right, bottom in whole pixels, inside the photo, not empty.
        batch : how many at a time.

        Returns
        -------
        (batch, size, size, 3) float32, standardised, of the last ones fewer.
        """
        if self._whole is not None:
            for start in range(0, len(boxes), batch):
                yield self._whole.crops(boxes[start : start + batch], size)
            return
        for start in range(0, len(boxes), _MOST_CROPS):
            made = self._crops(boxes[start : start + _MOST_CROPS], size)
            for first in range(0, len(made), batch):
                yield made[first : first + batch]

    def _crops(self, boxes: IndexArray, size: int) -> FloatArray:
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        if areas.sum() <= WHOLE_PX:
            return self._crops_apart(boxes, size)
        return self._crops_by_strips(boxes, size)

    def _crops_apart(self, boxes: IndexArray, size: int) -> FloatArray:
        """Sum each box on its own: few and small ones need no way through the photo."""
        out = np.empty((len(boxes), size, size, 3), dtype=np.float32)
        for number, (left, top, right, bottom) in enumerate(boxes.tolist()):
            part = IntegralImage(self._image[top:bottom, left:right])
            out[number] = part.crops(np.array([[0, 0, right - left, bottom - top]]), size)[0]
        return out

    def _crops_by_strips(self, boxes: IndexArray, size: int) -> FloatArray:
        tops, bottoms, lefts, rights = box_windows(boxes, size)
        # Rows of crops, in the order in which their windows are complete.
        order = np.argsort(bottoms, axis=None, kind="stable")
        upper, lower = tops.reshape(-1)[order], bottoms.reshape(-1)[order]
        needed = np.minimum.accumulate(upper[::-1])[::-1]
        sums = self._strips(int((lower - upper).max()))
        rows = np.empty((len(order), size, 3), dtype=np.float32)
        done = 0
        while done < len(order):
            sums.advance(int(needed[done]))
            complete = int(np.searchsorted(lower, sums.bottom, side="right"))
            for start in range(done, complete, _CROP_ROWS):
                part = slice(start, min(complete, start + _CROP_ROWS))
                owners = order[part] // size
                means = np.empty((part.stop - part.start, size, 3), dtype=np.float32)
                sums.windows(
                    upper[part, None], lower[part, None], lefts[owners], rights[owners], means
                )
                rows[order[part]] = means
            done = complete
        return rows.reshape(len(boxes), size, size, 3)

    def _strips(self, tallest: int) -> IntegralImage:
        """Return sums with room for windows of this height, and to go on below them."""
        room = max(_STRIP_BYTES // (8 * self.width), tallest + tallest // 4 + 1)
        return IntegralImage(self._image, room)


class _Level:
    """How far one level has been resampled."""

    def __init__(
        self, number: int, photo_height: int, height: int, width: int, bands: Bands
    ) -> None:
        self._number, self._height, self._width = number, height, width
        self._bands = bands
        self._band = 0
        self._row = bands[0][0]
        self._tops, self._bottoms = axis_windows(photo_height, height)
        rows = max(end - top for top, end in bands)
        self._pixels = np.empty((rows, width, 3), dtype=np.float32)

    @property
    def tallest(self) -> int:
        """Rows of the photo that the largest window spans."""
        return int((self._bottoms - self._tops).max())

    @property
    def done(self) -> bool:
        return self._band == len(self._bands)

    @property
    def needed(self) -> int:
        """The first row of the photo that is still to be read."""
        return int(self._tops[self._row])

    def ready(self, sums: IntegralImage) -> Iterator[tuple[int, int, FloatArray]]:
        """Return the bands that the sums complete."""
        reached = int(np.searchsorted(self._bottoms, sums.bottom, side="right"))
        while not self.done:
            top, end = self._bands[self._band]
            to = min(end, reached)
            if to > self._row:
                into = self._pixels[self._row - top : to - top]
                sums.resample(self._height, self._width, self._row, to, into)
                self._row = to
            if self._row < end:
                return
            yield self._number, self._band, self._pixels[: end - top]
            self._band += 1
            if not self.done:
                following = self._bands[self._band][0]
                shared = max(0, end - following)
                self._pixels[:shared] = self._pixels[end - top - shared : end - top].copy()
                self._row = following + shared
