"""MTCNN on a device, many photos at once, with the boxes of facenet-pytorch.

Photos of about the same size share a canvas, so that each level of their pyramids is one
batch. The host waits for the device a few times a network, to learn how many candidates there are,
never for a level. The networks run in float32 without TF32, whose ten bits move boxes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from gpu_worker.backends import mtcnn
from gpu_worker.backends.base import Detection, FloatArray, RgbImage, SmallestFace, min_face_px
from gpu_worker.backends.device import decisions
from gpu_worker.backends.device.graphs import Lane, Replays, at_least
from gpu_worker.backends.device.levels import Levels
from gpu_worker.backends.device.pixels import IntegralImages, Photos, integrate, windows
from gpu_worker.backends.hanging import Referee, Traces, hanging
from gpu_worker.backends.mosaic import answers
from gpu_worker.backends.networks import ONet, PNet, RNet
from gpu_worker.backends.precise import PreciseNets
from gpu_worker.backends.reference import load_mtcnn, mtcnn_weights

_SMALL_SIDES = (64, 96, 128, 192, 256, 320, 384, 480, 512, 640, 720, 768, 960, 1024, 1080)
_LARGE_SIDES = (1280, 1440, 1536, 1920, 2048, 2560, 3072, 4096, 6144, 8192, 16_384, 65_536)
SIDES = (*_SMALL_SIDES, *_LARGE_SIDES)
"""Of canvases: a photo lies on the smallest that holds it."""

BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""Photos on so many canvases are searched at once."""

BATCH_PIXELS = 24_000_000
"""Of all canvases of a batch; each takes some 50 bytes at the most."""

_REFINED = (16, 64, 256, 1024, 4096)
"""Candidates that go through R-Net and O-Net at once."""

_MARGIN = 4
"""Rows and columns that P-Net's last two convolutions take off."""

_GRAPH_PIXELS = 3_000_000
"""Canvases of more are searched without a graph: they keep the device busy anyway."""

_GRAPHS = 2 * len(BATCHES)
"""Of two canvases, whatever the sizes of their batches; each keeps 20 bytes a pixel."""

_PLAIN_CALLS = 3


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Boxes of all photos of a batch, in the order of `suppress`.

    Attributes
    ----------
    photos : (n,) int64; boxes : (n, 4) float32.
    cells, starts, cuts : as of `gpu_worker.backends.hanging.Traces`.
    """

    photos: torch.Tensor
    boxes: torch.Tensor
    cells: torch.Tensor
    starts: torch.Tensor
    cuts: torch.Tensor

    def __getitem__(self, which: torch.Tensor) -> "_Candidates":
        parts = self.photos, self.boxes, self.cells, self.starts, self.cuts
        return _Candidates(*(part[which] for part in parts))

    def traces(self) -> Traces:
        """Return where the boxes come from, on the host."""
        return Traces(*(part.cpu().numpy() for part in (self.cells, self.starts, self.cuts)))


class DeviceDetector:
    """MTCNN on a device.

    Parameters
    ----------
    smallest : the shortest face side that is searched for, by the photo's height and width.
    """

    def __init__(self, device: torch.device, smallest: SmallestFace = min_face_px) -> None:
        # One switch for the process; nothing in a worker wants it.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        self._device = device
        self._smallest = smallest
        self._lane = Lane(device)
        self._replays = Replays(device, most=_GRAPHS, after=_PLAIN_CALLS)
        nets = load_mtcnn(torch.device("cpu"))
        self._precise = PreciseNets(mtcnn_weights(nets))
        self._pnet = PNet(nets.pnet).eval().to(device)
        self._rnet = RNet(nets.rnet).eval().to(device)
        self._onet = ONet(nets.onet).eval().to(device)

    def detect(self, images: Sequence[RgbImage]) -> list[list[Detection]]:
        """Return the faces of each (height, width, 3) uint8 RGB image."""
        found: list[list[Detection]] = [[] for _ in images]
        for canvas, numbers in self._batches(images):
            with self._lane.open():
                faces = self._detect([images[number] for number in numbers], canvas)
            for number, its in zip(numbers, faces, strict=True):
                found[number] = its
        return found

    def _batches(self, images: Sequence[RgbImage]) -> list[tuple[tuple[int, int], list[int]]]:
        """Return canvases, and the numbers of the images that lie on them."""
        by_canvas: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(images):
            height, width = image.shape[:2]
            if mtcnn.pyramid(height, width, self._smallest(height, width)):
                canvas = at_least(height, SIDES), at_least(width, SIDES)
                by_canvas.setdefault(canvas, []).append(number)
        batches = []
        for canvas, numbers in by_canvas.items():
            room = max(1, min(BATCHES[-1], BATCH_PIXELS // (canvas[0] * canvas[1])))
            step = max(each for each in BATCHES if each <= room)
            batches += [(canvas, numbers[at : at + step]) for at in range(0, len(numbers), step)]
        return batches

    def _detect(self, images: list[RgbImage], canvas: tuple[int, int]) -> list[list[Detection]]:
        count = at_least(len(images), BATCHES)
        photos = Photos.upload(images, count, *canvas, self._device)
        levels = Levels.of(images, self._smallest, count, canvas, self._device)
        integral, scores, offsets = self._search(photos, levels)
        referees = [
            Referee(self._precise, each, its)
            for each, its in zip(images, levels.pyramids, strict=True)
        ]
        candidates = _proposals(levels, scores, offsets)
        _settle(candidates, referees, Referee.proposed)
        candidates, cuts, outputs = self._refine(self._rnet, 24, integral, photos.sizes, candidates)
        candidates = replace(candidates, cuts=cuts)
        scores = torch.softmax(outputs[:, :2], dim=1)[:, 1]
        passed = scores > mtcnn.RNET_THRESHOLD
        candidates, scores, outputs = candidates[passed], scores[passed], outputs[passed]
        kept = decisions.suppress(candidates.boxes, scores, candidates.photos, count, 0.7)
        boxes = decisions.shift(candidates.boxes[kept], outputs[kept, 2:6], extra=1)
        candidates = replace(candidates[kept], boxes=decisions.square(boxes))
        _settle(candidates, referees, Referee.refined)
        found = self._refine(self._onet, 48, integral, photos.sizes, candidates)
        return _faces(*found, referees)

    def _search(
        self, photos: Photos, levels: Levels
    ) -> tuple[IntegralImages, torch.Tensor, torch.Tensor]:
        """Return P-Net's scores, (n, cells), and offsets, (n, cells, 4), level after level.

        A score is -1 where a photo has no cell.
        """
        shapes = levels.shapes

        def work(*inputs: torch.Tensor) -> Sequence[torch.Tensor]:
            return _search(self._pnet, shapes, *inputs)

        inputs = photos.pixels, photos.sizes, levels.sizes
        count, height, width, _ = photos.pixels.shape
        if height * width > _GRAPH_PIXELS:
            found = work(*inputs)
        else:
            found = self._replays.run((count, height, width, shapes), work, *inputs)
        sums, scores, offsets = found
        return IntegralImages(sums), scores, offsets

    def _refine(
        self,
        net: torch.nn.Module,
        side: int,
        integral: IntegralImages,
        sizes: torch.Tensor,
        candidates: _Candidates,
    ) -> tuple[_Candidates, torch.Tensor, torch.Tensor]:
        """Look at the candidates that lie in their photos.

        Returns
        -------
        them, what was cut out for them in whole pixels, and the network's outputs.
        """
        whole = decisions.clip(candidates.boxes, sizes[candidates.photos])
        inside = ((whole[:, 2] > whole[:, 0]) & (whole[:, 3] > whole[:, 1])).nonzero()[:, 0]
        candidates, whole = candidates[inside], whole[inside]
        outputs = []
        for start in range(0, max(1, len(whole)), _REFINED[-1]):
            photo, part = (
                each[start : start + _REFINED[-1]] for each in (candidates.photos, whole)
            )
            # A few sizes only, for which the libraries choose their algorithms once.
            extra = at_least(len(part), _REFINED) - len(part)
            photo = torch.nn.functional.pad(photo, (0, extra))
            part = torch.nn.functional.pad(part, (0, 0, 0, extra))
            outputs_wanted = torch.full_like(photo, side)
            rows = windows(part[:, 1], part[:, 3] - part[:, 1], outputs_wanted, side)
            columns = windows(part[:, 0], part[:, 2] - part[:, 0], outputs_wanted, side)
            found = net(integral.means(photo, rows, columns))
            outputs.append(found[: len(found) - extra])
        return candidates, whole, torch.cat(outputs)


def _search(
    pnet: torch.nn.Module,
    shapes: Sequence[tuple[int, int]],
    pixels: torch.Tensor,
    sizes: torch.Tensor,
    parts: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the photos' integral images, and P-Net's scores and offsets on all levels."""
    sums = integrate(pixels)
    integral = IntegralImages(sums)
    nothing = torch.zeros_like(sizes[:, 0])
    photos = torch.arange(len(pixels), device=pixels.device)
    scores, offsets = [], []
    for level, (height, width) in enumerate(shapes):
        heights, widths = parts[level].unbind(1)
        rows = windows(nothing, sizes[:, 0], heights, height)
        columns = windows(nothing, sizes[:, 1], widths, width)
        # What the pooling, which rounds up, may see of each photo, and what it gives.
        seen = _inside(heights - 2, widths - 2, height - 2, width - 2)[:, None]
        bound = torch.full(seen.shape, -torch.inf, device=seen.device).masked_fill_(seen, torch.inf)
        pooled_height, pooled_width = (height - 1) // 2, (width - 1) // 2
        pooled = _inside((heights - 1) // 2, (widths - 1) // 2, pooled_height, pooled_width)
        outputs = pnet(integral.means(photos, rows, columns), bound, pooled[:, None])
        valid = _inside(
            (heights - 1) // 2 - _MARGIN, (widths - 1) // 2 - _MARGIN, *outputs.shape[1:3]
        )
        likely = torch.softmax(outputs[..., :2], dim=3)[..., 1]
        scores.append(likely.masked_fill(~valid, -1.0).flatten(1))
        offsets.append(outputs[..., 2:].flatten(1, 2))
    return sums, torch.cat(scores, dim=1), torch.cat(offsets, dim=1)


def _inside(rows: torch.Tensor, columns: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return (n, height, width), True in the first `rows` and `columns` of each."""
    down = torch.arange(height, device=rows.device)[None, :, None] < rows[:, None, None]
    across = torch.arange(width, device=rows.device)[None, None, :] < columns[:, None, None]
    return down & across


def _proposals(levels: Levels, scores: torch.Tensor, offsets: torch.Tensor) -> _Candidates:
    """Return P-Net's squared candidates."""
    photos, at = (scores >= mtcnn.PNET_THRESHOLD).nonzero().unbind(1)
    level, rows, columns = (each[at] for each in _cells(levels.shapes, scores.device))
    boxes = decisions.cells(rows, columns, levels.scales[level, photos])
    cells = torch.stack([level, rows, columns], dim=1)
    scores, offsets = scores[photos, at], offsets[photos, at]
    depth, count = len(levels.shapes), levels.sizes.shape[1]
    kept = decisions.suppress(boxes, scores, photos * depth + level, count * depth, 0.5)
    photos, cells, boxes = photos[kept], cells[kept], boxes[kept]
    scores, offsets = scores[kept], offsets[kept]
    kept = decisions.suppress(boxes, scores, photos, count, 0.7)
    photos, starts = photos[kept], boxes[kept]
    moved = decisions.square(decisions.shift(starts, offsets[kept], extra=0))
    return _Candidates(photos, moved, cells[kept], starts, torch.zeros_like(starts).long())


def _settle(
    candidates: _Candidates,
    referees: Sequence[Referee],
    decide: Callable[[Referee, Traces], FloatArray],
) -> None:
    """Put the exact boxes where edges hang on rounding; few do, and the host works them out."""
    hangs = decisions.hanging(candidates.boxes)
    if not len(hangs):
        return
    few = candidates[hangs]
    photos, traces = few.photos.cpu().numpy(), few.traces()
    settled = np.empty((len(photos), 4), dtype=np.float32)
    for photo in np.unique(photos):
        its = (photos == photo).nonzero()[0]
        settled[its] = decide(referees[photo], traces[its])
    candidates.boxes[hangs] = torch.from_numpy(settled).to(hangs.device)


@lru_cache(maxsize=64)
def _cells(
    shapes: tuple[tuple[int, int], ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return level, row and column of each of P-Net's answers."""
    found = []
    for level, (height, width) in enumerate(shapes):
        rows, columns = np.indices((answers(height), answers(width)))
        found.append(np.stack([np.full(rows.size, level), rows.ravel(), columns.ravel()]))
    level_of, row_of, column_of = torch.from_numpy(np.concatenate(found, axis=1)).to(device)
    return level_of, row_of, column_of


def _faces(
    candidates: _Candidates,
    cuts: torch.Tensor,
    outputs: torch.Tensor,
    referees: Sequence[Referee],
) -> list[list[Detection]]:
    """Return each photo's faces, by O-Net's outputs; the last few decisions on the host."""
    scores = torch.softmax(outputs[:, :2], dim=1)[:, 1]
    passed = (scores > mtcnn.ONET_THRESHOLD).nonzero()[:, 0]
    candidates, cuts = candidates[passed], cuts[passed]
    scores, outputs = scores[passed], outputs[passed]
    points = decisions.landmarks(candidates.boxes, outputs[:, 6:16])
    boxes = decisions.shift(candidates.boxes, outputs[:, 2:6], extra=1)
    packed = torch.cat([boxes, scores[:, None], points.flatten(1)], dim=1)
    photos = candidates.photos.cpu().numpy()
    all_numbers = packed.cpu().numpy()
    hangs = hanging(all_numbers[:, :4])
    if len(hangs):
        whole, traces = cuts.cpu().numpy(), candidates.traces()
        for number in hangs:
            which = np.array([number])
            exact = referees[photos[number]].final(traces[which], whole[which])
            all_numbers[which, :4] = exact
    faces: list[list[Detection]] = []
    for photo in range(len(referees)):
        numbers = all_numbers[photos == photo]
        faces.append(
            [
                Detection(
                    numbers[i, :4], numbers[i, 5:].reshape(5, 2), min(1.0, float(numbers[i, 4]))
                )
                for i in mtcnn.nms_min(numbers[:, :4], numbers[:, 4], 0.7)
            ]
        )
    return faces
