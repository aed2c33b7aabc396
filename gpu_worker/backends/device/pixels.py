"""Exact "area" resampling of many photos at once, from their integral images.

As `gpu_worker.backends.area`, which says why it is exact: sums of bytes are whole numbers,
so that neither their order nor the photo's padding changes a mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gpu_worker.backends.base import RgbImage

_MEAN, _SCALE = 127.5, 0.0078125


@dataclass(frozen=True, eq=False)
class Photos:
    """Photos of different sizes in the upper left corners of equal canvases.

    Attributes
    ----------
    pixels : (n, height, width, 3) uint8, zeros beside the photos.
    sizes : (n, 2) int64, height and width of each; zeros for places without a photo.
    """

    pixels: torch.Tensor
    sizes: torch.Tensor

    @classmethod
    def upload(
        cls,
        images: Sequence[RgbImage],
        count: int,
        height: int,
        width: int,
        device: torch.device,
    ) -> "Photos":
        """Bring photos to a device; the copy may still be under way.

        Parameters
        ----------
        count, height, width : of the canvases, at least those of the photos.
        """
        pinned = device.type == "cuda"
        pixels = torch.empty((count, height, width, 3), dtype=torch.uint8, pin_memory=pinned)
        sizes = torch.zeros((count, 2), dtype=torch.int64, pin_memory=pinned)
        into = pixels.numpy()
        for number, image in enumerate(images):
            rows, columns = image.shape[:2]
            into[number, :rows, :columns] = image
            into[number, rows:] = 0
            into[number, :rows, columns:] = 0
            sizes[number, 0], sizes[number, 1] = rows, columns
        into[len(images) :] = 0
        return cls(
            pixels.to(device, non_blocking=True),
            sizes.to(device, non_blocking=True),
        )


class IntegralImages:
    """Sums over rectangles of photos; 12 bytes for each pixel of the canvases.

    Sums wrap around at 2**32, and so do their differences: a window's own sum is right as
    long as it is below that.

    Parameters
    ----------
    sums : (n, height + 1, width + 1, 3) int32, as of `integrate`.
    """

    def __init__(self, sums: torch.Tensor) -> None:
        _, rows, columns, _ = sums.shape
        self._flat = sums.view(-1, 3)
        self._stride = columns
        self._each = rows * columns

    def means(
        self,
        photos: torch.Tensor,
        rows: tuple[torch.Tensor, torch.Tensor],
        columns: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """Return the means of windows, standardised as MTCNN wants it.

        Parameters
        ----------
        photos : (n,) int64, whose windows they are.
        rows, columns : first and last + 1 pixel of each output's window, (n, height) and
            (n, width) int64; empty windows give numbers without a meaning.

        Returns
        -------
        (n, height, width, 3) float32, (mean - 127.5) / 128.
        """
        base = photos[:, None] * self._each
        upper, lower = (base + edge * self._stride for edge in rows)
        left, right = (edge[:, None, :] for edge in columns)
        sums = self._flat[lower[:, :, None] + right]
        sums -= self._flat[lower[:, :, None] + left]
        sums -= self._flat[upper[:, :, None] + right]
        sums += self._flat[upper[:, :, None] + left]
        means = sums.float()
        # The order of the operations decides the last bit.
        means /= (rows[1] - rows[0]).clamp(min=1).float()[:, :, None, None]
        means /= (columns[1] - columns[0]).clamp(min=1).float()[:, None, :, None]
        means -= _MEAN
        means *= _SCALE
        return means


def integrate(pixels: torch.Tensor) -> torch.Tensor:
    """Return the sums of all pixels above and left of each corner.

    Parameters
    ----------
    pixels : (n, height, width, 3) uint8.

    Returns
    -------
    (n, height + 1, width + 1, 3) int32, modulo 2**32.
    """
    rows = pixels.cumsum(dim=1, dtype=torch.int32)
    sums = rows.new_zeros((len(pixels), pixels.shape[1] + 1, pixels.shape[2] + 1, 3))
    sums[:, 1:, 1:] = rows.cumsum(dim=2, dtype=torch.int32)
    return sums


def windows(
    start: torch.Tensor, length: torch.Tensor, outputs: torch.Tensor, room: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return first and last + 1 pixel of each output's window.

    Parameters
    ----------
    start, length : (n,) int64, the part of the axis that is resampled, in pixels.
    outputs : (n,) int64, how many means are taken of each part.
    room : columns of the answer; those beyond `outputs` get empty windows.

    Returns
    -------
    two (n, room) int64 tensors.
    """
    i = torch.arange(room, device=start.device)[None, :]
    inside = i < outputs[:, None]
    parts = outputs[:, None].clamp(min=1)
    first = start[:, None] + i * length[:, None] // parts
    end = start[:, None] + ((i + 1) * length[:, None] + parts - 1) // parts
    return first * inside, end * inside
