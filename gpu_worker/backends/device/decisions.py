"""MTCNN's decisions between its networks, for many photos at once, on a device.

The arithmetic of `gpu_worker.backends.mtcnn`, operation by operation: each of torch's
kernels rounds once, so that boxes are the same to the last bit.
"""

import torch

from gpu_worker.backends.hanging import LEAST, SHARE
from gpu_worker.backends.mtcnn import CELL_PX, STRIDE

_BLOCK = 256
"""Boxes of a group that are compared with so many others at once."""


def cells(rows: torch.Tensor, columns: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return the boxes, in the photos' pixels, that P-Net saw at (row, column); (n, 4)."""
    at = torch.stack([columns, rows], dim=1).float() * STRIDE
    first = torch.floor((at + 1) / scales[:, None])
    last = torch.floor((at + CELL_PX) / scales[:, None])
    return torch.cat([first, last], dim=1)


def suppress(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    groups: torch.Tensor,
    count: int,
    threshold: float,
) -> torch.Tensor:
    """Greedy non-maximum suppression by intersection over union, within groups.

    Equal scores keep their order. What the greedy loop decides one by one is found for all
    groups together: who is suppressed by none of the kept ones is kept, repeated until
    nothing changes (Zheng et al. 2021, "Cluster-NMS").

    Parameters
    ----------
    boxes : (n, 4) float32; scores : (n,) float32; groups : (n,) int64 below `count`.

    Returns
    -------
    (k,) int64 indices of the kept boxes, by group, the best first.
    """
    if len(boxes) == 0:
        return groups
    order = torch.sort(scores, descending=True, stable=True).indices
    order = order[torch.sort(groups[order], stable=True).indices]
    boxes, groups = boxes[order], groups[order]
    sizes = torch.bincount(groups, minlength=count)
    place = torch.arange(len(boxes), device=boxes.device) - (sizes.cumsum(0) - sizes)[groups]
    most = int(sizes.max())
    dense = torch.zeros((count, most, 4), device=boxes.device)
    dense[groups, place] = boxes
    alive = torch.zeros((count, most), dtype=torch.bool, device=boxes.device)
    alive[groups, place] = True
    for start in range(0, most, _BLOCK):
        block = slice(start, start + _BLOCK)
        for earlier in range(0, start, _BLOCK):
            before = slice(earlier, earlier + _BLOCK)
            over = _iou(dense[:, before], dense[:, block]) > threshold
            alive[:, block] &= ~(over & alive[:, before, None]).any(dim=1)
        alive[:, block] = _settle(
            alive[:, block], _iou(dense[:, block], dense[:, block]) > threshold
        )
    return order[alive[groups, place]]


def _settle(alive: torch.Tensor, over: torch.Tensor) -> torch.Tensor:
    """Return who of (g, m) boxes stays, where box i would suppress a later j if over[g, i, j]."""
    over = torch.triu(over, diagonal=1)
    kept = alive
    while True:
        before, kept = kept, alive & ~(over & kept[:, :, None]).any(dim=1)
        if torch.equal(before, kept):
            return kept


def _iou(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return (g, m, k) overlaps of (g, m, 4) with (g, k, 4) boxes."""
    left, top, right, bottom = (edge[..., None] for edge in some.unbind(-1))
    other_left, other_top, other_right, other_bottom = (
        edge[:, None, :] for edge in others.unbind(-1)
    )
    width = torch.minimum(right, other_right) - torch.maximum(left, other_left)
    height = torch.minimum(bottom, other_bottom) - torch.maximum(top, other_top)
    shared = width.clamp_(min=0) * height.clamp_(min=0)
    areas = (right - left) * (bottom - top)
    other_areas = (other_right - other_left) * (other_bottom - other_top)
    return shared / (areas + other_areas - shared)


def shift(boxes: torch.Tensor, offsets: torch.Tensor, extra: int) -> torch.Tensor:
    """Move each edge by an offset, a fraction of the box's size.

    Parameters
    ----------
    extra : 0 for P-Net's offsets, 1 for R-Net's and O-Net's, which count whole pixels.
    """
    width = boxes[:, 2] - boxes[:, 0]
    height = boxes[:, 3] - boxes[:, 1]
    if extra:
        width, height = width + extra, height + extra
    return boxes + offsets * torch.stack([width, height, width, height], dim=1)


def square(boxes: torch.Tensor) -> torch.Tensor:
    """Grow the boxes' shorter sides to squares around the same centres."""
    height = boxes[:, 3] - boxes[:, 1]
    width = boxes[:, 2] - boxes[:, 0]
    side = torch.maximum(width, height)
    left = boxes[:, 0] + width * 0.5 - side * 0.5
    top = boxes[:, 1] + height * 0.5 - side * 0.5
    return torch.stack([left, top, left + side, top + side], dim=1)


def clip(boxes: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Return the boxes in whole pixels of their photos, (n, 4) int64; some may be empty.

    Parameters
    ----------
    sizes : (n, 2) int64, height and width of each box's photo.
    """
    whole = torch.trunc(boxes).long()
    left = whole[:, 0].clamp(min=1) - 1
    top = whole[:, 1].clamp(min=1) - 1
    right = torch.minimum(whole[:, 2], sizes[:, 1])
    bottom = torch.minimum(whole[:, 3], sizes[:, 0])
    return torch.stack([left, top, right, bottom], dim=1)


def hanging(boxes: torch.Tensor) -> torch.Tensor:
    """Return the indices of boxes with an edge that rounding could move over a whole pixel."""
    sides = boxes[:, 2:] - boxes[:, :2]
    room = SHARE * (boxes.abs() + torch.cat([sides, sides], dim=1)) + LEAST
    return ((boxes - boxes.round()).abs() < room).any(dim=1).nonzero()[:, 0]


def landmarks(boxes: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return O-Net's points in the photos' pixels, (n, 5, 2), for (n, 4) and (n, 10)."""
    width = (boxes[:, 2] - boxes[:, 0] + 1)[:, None]
    height = (boxes[:, 3] - boxes[:, 1] + 1)[:, None]
    x = width * points[:, :5] + boxes[:, :1] - 1
    y = height * points[:, 5:] + boxes[:, 1:2] - 1
    return torch.stack([x, y], dim=2)
