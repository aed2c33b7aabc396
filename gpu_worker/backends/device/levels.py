"""The image pyramids of a batch of photos, on common canvases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gpu_worker.backends import mtcnn
from gpu_worker.backends.base import RgbImage, SmallestFace


@dataclass(frozen=True, eq=False)
class Levels:
    """The pyramids of a batch.

    Attributes
    ----------
    shapes : height and width of each level's canvas.
    pyramids : of the photos, as `mtcnn.pyramid` gives them.
    sizes : (levels, n, 2) int64, height and width of each photo's part; 0 where it has none.
    scales : (levels, n) float32.
    """

    shapes: tuple[tuple[int, int], ...]
    pyramids: Sequence[Sequence[tuple[float, int, int]]]
    sizes: torch.Tensor
    scales: torch.Tensor

    @classmethod
    def of(
        cls,
        images: Sequence[RgbImage],
        smallest: SmallestFace,
        count: int,
        canvas: tuple[int, int],
        device: torch.device,
    ) -> "Levels":
        """Return the levels of photos, and what the canvas has room for.

        Parameters
        ----------
        count, canvas : as of `Photos.upload`; batches of equal ones have equal shapes.
        """
        shapes = [(image.shape[0], image.shape[1]) for image in images]
        pyramids = [mtcnn.pyramid(*shape, smallest(*shape)) for shape in shapes]
        # Those of the canvas itself, so that batches of one canvas have the same shapes.
        largest = max(levels[0][0] for levels in pyramids)
        common = mtcnn.levels(*canvas, largest)
        sizes = np.zeros((len(common), count, 2), dtype=np.int64)
        scales = np.ones((len(common), count), dtype=np.float32)
        for number, levels in enumerate(pyramids):
            for level, (scale, height, width) in enumerate(levels):
                sizes[level, number] = height, width
                scales[level, number] = scale
        pinned = device.type == "cuda"
        moved = [torch.from_numpy(each) for each in (sizes, scales)]
        if pinned:
            moved = [each.pin_memory() for each in moved]
        return cls(
            tuple((height, width) for _, height, width in common),
            pyramids,
            *(each.to(device, non_blocking=True) for each in moved),
        )
