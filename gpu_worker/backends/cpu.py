"""The CPU backend: exact MTCNN and FaceNet in OpenVINO; imports no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import openvino as ov

from faces.contracts.results import ModelInfo
from gpu_worker.backends import mtcnn
from gpu_worker.backends.base import (
    EMBEDDING_SIZE,
    Detection,
    FloatArray,
    RgbImage,
    SmallestFace,
    min_face_px,
)
from gpu_worker.backends.hanging import Referee, Traces, hanging
from gpu_worker.backends.memory import forget_mapped, give_large_blocks_back
from gpu_worker.backends.model import MODEL
from gpu_worker.backends.mosaic import Canvas, Piece, Placed, cut, extent, place
from gpu_worker.backends.precise import PreciseNets
from gpu_worker.backends.strips import PhotoSums

_LARGE = Canvas(130, 260)
_SMALLER = (Canvas(66, 98), Canvas(34, 260), Canvas(66, 260), Canvas(112, 260))
"""For what is left over; ordered by size."""

_RNET_PX, _RNET_BATCHES = 24, (4, 8, 16)
_ONET_PX, _ONET_BATCHES = 48, (1, 2, 3, 4, 6, 8)
_EMBED_BATCH = 8
"""Sixteen are 4 % faster and take 15 MB more."""

Precision = Literal["f32", "bf16"]


class Runtime:
    """OpenVINO on this machine's CPU.

    Parameters
    ----------
    folder : of the converted networks; see `converted.ensure_converted`.
    threads : of each inference; 0 takes one for each core.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        give_large_blocks_back()
        self.folder = folder
        self._core = ov.Core()
        self._options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Pinned, all processes of a machine would share its first cores.
            "ENABLE_CPU_PINNING": False,
        }

    def forget(self, name: str) -> None:
        """Take a compiled network's file out of memory."""
        forget_mapped(self.folder / f"{name}.bin")

    def best_precision(self) -> Precision:
        """Return bf16 where the CPU multiplies bfloat16 in hardware."""
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "bf16" if "BF16" in able else "f32"

    def compile(
        self, name: str, precision: Precision, shapes: Sequence[Sequence[int]]
    ) -> ov.InferRequest:
        """Return a network for inputs of these shapes."""
        model = self._core.read_model(self.folder / f"{name}.xml")
        model.reshape({n: ov.PartialShape(list(shape)) for n, shape in enumerate(shapes)})
        options = {**self._options, "INFERENCE_PRECISION_HINT": precision}
        return self._core.compile_model(model, "CPU", options).create_infer_request()


class OpenVinoDetector:
    """MTCNN with the very boxes of facenet-pytorch, several times faster.

    The nets run in float32; every input of theirs is bit-identical (`area`), and every
    decision is taken alike (`mtcnn`). What may differ is the last digits of a network's
    output, because another library sums in another order.

    Parameters
    ----------
    smallest : the shortest face side that is searched for, by the photo's height and width.
    """

    def __init__(self, runtime: Runtime, smallest: SmallestFace = min_face_px) -> None:
        self._smallest = smallest
        self._precise = PreciseNets.load(runtime.folder)
        self._plain = _PNet(runtime, _LARGE, masked=False)
        self._masked = _PNet(runtime, _LARGE, masked=True)
        self._smaller = [_PNet(runtime, canvas, masked=True) for canvas in _SMALLER]
        self._rnet = _Refiner(runtime, "rnet", _RNET_PX, _RNET_BATCHES)
        self._onet = _Refiner(runtime, "onet", _ONET_PX, _ONET_BATCHES)

    def detect(self, images: Sequence[RgbImage]) -> list[list[Detection]]:
        """Return the faces of each (height, width, 3) uint8 RGB image."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: RgbImage) -> list[Detection]:
        height, width = image.shape[:2]
        levels = mtcnn.pyramid(height, width, self._smallest(height, width))
        if not levels:
            return []
        sums = PhotoSums(image)
        referee = Referee(self._precise, image, levels)
        boxes, traces = self._propose(sums, levels)
        if len(hangs := hanging(boxes)):
            boxes[hangs] = referee.proposed(traces[hangs])
        boxes, traces = self._refine(sums, boxes, traces)
        if len(hangs := hanging(boxes)):
            boxes[hangs] = referee.refined(traces[hangs])
        return self._finish(sums, referee, boxes, traces)

    def _propose(
        self, sums: PhotoSums, levels: Sequence[tuple[float, int, int]]
    ) -> tuple[FloatArray, Traces]:
        """Return P-Net's squared candidates, (n, 4), and where they come from."""
        found: list[_Candidates] = [_Candidates() for _ in levels]
        waiting: dict[Piece, FloatArray] = {}
        bands = [
            cut(number, height, width, _LARGE) for number, (_, height, width) in enumerate(levels)
        ]
        asked = [
            (height, width, [(band[0].top, band[0].top + band[0].height) for band in level])
            for (_, height, width), level in zip(levels, bands, strict=True)
        ]
        for number, which, pixels in sums.bands(asked):
            for piece in bands[number][which]:
                part = pixels[:, piece.left : piece.left + piece.width]
                if (piece.height, piece.width) == (_LARGE.height, _LARGE.width):
                    self._plain.run([(Placed(piece, 0, 0), part)], found)
                else:
                    # A copy: the pixels are written over by the next band.
                    waiting[piece] = part.copy()
        in_order = sorted(waiting, key=lambda piece: (piece.level, piece.top, piece.left))
        for placed in place(in_order, _LARGE):
            self._net_for(placed).run([(each, waiting[each.piece]) for each in placed], found)
        return _merge(found, levels)

    def _net_for(self, placed: Sequence[Placed]) -> "_PNet":
        needed = extent(placed)
        for canvas, net in zip(_SMALLER, self._smaller, strict=True):
            if needed.height <= canvas.height and needed.width <= canvas.width:
                return net
        odd = any(each.piece.odd_bottom or each.piece.odd_right for each in placed)
        return self._masked if odd else self._plain

    def _refine(
        self, sums: PhotoSums, boxes: FloatArray, traces: Traces
    ) -> tuple[FloatArray, Traces]:
        """Return R-Net's squared candidates, (n, 4)."""
        inside, cuts, outputs = self._rnet.run(sums, boxes)
        scores = mtcnn.softmax(outputs[:, :2])
        passed = (scores > np.float32(mtcnn.RNET_THRESHOLD)).nonzero()[0]
        boxes, scores, offsets = boxes[inside[passed]], scores[passed], outputs[passed, 2:6]
        kept = mtcnn.nms(boxes, scores, 0.7)
        traces = replace(traces[inside[passed[kept]]], cuts=cuts[passed[kept]])
        return mtcnn.square(mtcnn.shift(boxes[kept], offsets[kept])), traces

    def _finish(
        self, sums: PhotoSums, referee: Referee, boxes: FloatArray, traces: Traces
    ) -> list[Detection]:
        inside, cuts, outputs = self._onet.run(sums, boxes)
        scores = mtcnn.softmax(outputs[:, :2])
        passed = (scores > np.float32(mtcnn.ONET_THRESHOLD)).nonzero()[0]
        boxes, scores, outputs = boxes[inside[passed]], scores[passed], outputs[passed]
        points = mtcnn.landmarks(boxes, outputs[:, 6:16])
        boxes = mtcnn.shift(boxes, outputs[:, 2:6])
        if len(hangs := hanging(boxes)):
            hung = passed[hangs]
            boxes[hangs] = referee.final(traces[inside[hung]], cuts[hung])
        return [
            Detection(boxes[i], points[i], min(1.0, float(scores[i])))
            for i in mtcnn.nms_min(boxes, scores, 0.7)
        ]


class _Candidates:
    """What P-Net found on one level: rows, columns, scores and offsets, piece by piece."""

    def __init__(self) -> None:
        self.cells: list[mtcnn.IndexArray] = []
        self.outputs: list[FloatArray] = []

    def add(self, piece: Piece, outputs: FloatArray) -> None:
        """Keep the likely ones of a piece's (rows, columns, 6) answers."""
        rows, columns = np.nonzero(mtcnn.likely(outputs[..., 0], outputs[..., 1]))
        if len(rows):
            at = np.stack([rows + piece.top // mtcnn.STRIDE, columns + piece.left // mtcnn.STRIDE])
            self.cells.append(at)
            self.outputs.append(outputs[rows, columns])

    def boxes(
        self, level: int, scale: float
    ) -> tuple[mtcnn.IndexArray, FloatArray, FloatArray, FloatArray]:
        """Return cells, boxes, scores and offsets after the level's suppression."""
        cells, outputs = np.concatenate(self.cells, axis=1), np.concatenate(self.outputs)
        scores = mtcnn.softmax(outputs[:, :2])
        passed = np.nonzero(scores >= np.float32(mtcnn.PNET_THRESHOLD))[0]
        # As if the level had been one piece: equal scores keep their order by row and column.
        passed = passed[np.lexsort((cells[1, passed], cells[0, passed]))]
        boxes = mtcnn.cells(cells[0, passed], cells[1, passed], scale)
        scores, offsets = scores[passed], outputs[passed, 2:]
        kept = mtcnn.nms(boxes, scores, 0.5)
        at = cells[:, passed[kept]]
        origins = np.stack([np.full(len(kept), level), *at], axis=1)
        return origins, boxes[kept], scores[kept], offsets[kept]


def _merge(
    found: Iterable[_Candidates], levels: Sequence[tuple[float, int, int]]
) -> tuple[FloatArray, Traces]:
    merged = [
        candidates.boxes(number, scale)
        for number, (candidates, (scale, _, _)) in enumerate(zip(found, levels, strict=True))
        if candidates.cells
    ]
    if not merged:
        nothing = np.empty((0, 4), dtype=np.float32)
        nowhere = np.empty((0, 4), dtype=np.int64)
        return nothing, Traces(nowhere[:, :3], nothing, nowhere)
    origins, *rest = zip(*merged, strict=True)
    boxes, scores, offsets = (np.concatenate(each) for each in rest)
    kept = mtcnn.nms(boxes, scores, 0.7)
    starts = boxes[kept]
    traces = Traces(np.concatenate(origins)[kept], starts, np.zeros((len(kept), 4), np.int64))
    return mtcnn.square(mtcnn.shift_cells(starts, offsets[kept])), traces


class _PNet:
    """P-Net on a canvas of one size."""

    def __init__(self, runtime: Runtime, canvas: Canvas, *, masked: bool) -> None:
        pixels = (1, canvas.height, canvas.width, 3)
        bound = (1, 1, canvas.height - 2, canvas.width - 2)
        name, shapes = ("pnet-masked", [pixels, bound]) if masked else ("pnet", [pixels])
        self._request = runtime.compile(name, "f32", shapes)
        self._pixels: FloatArray = self._request.get_input_tensor(0).data
        self._pixels[:] = 0
        self._bound: FloatArray | None = None
        if masked:
            self._bound = self._request.get_input_tensor(1).data

    def run(
        self, pieces: Sequence[tuple[Placed, FloatArray]], found: Sequence[_Candidates]
    ) -> None:
        """Add the candidates of some pieces, given with their pixels, to their levels'."""
        if self._bound is not None:
            self._bound[:] = np.inf
        for placed, pixels in pieces:
            piece, y, x = placed.piece, placed.y, placed.x
            bottom, right = y + piece.height, x + piece.width
            self._pixels[0, y:bottom, x:right] = pixels
            if self._bound is not None:
                # The convolution before the pooling makes the piece two pixels smaller.
                if piece.odd_bottom:
                    self._bound[0, 0, bottom - 2 : bottom - 1, x:right] = -np.inf
                if piece.odd_right:
                    self._bound[0, 0, y:bottom, right - 2 : right - 1] = -np.inf
        self._request.infer()
        outputs = self._request.get_output_tensor(0).data[0]
        for placed, _ in pieces:
            piece, top, left = placed.piece, placed.y // 2, placed.x // 2
            found[piece.level].add(
                piece, outputs[top : top + piece.rows, left : left + piece.columns]
            )


class _Refiner:
    """R-Net or O-Net over any number of candidates, in batches of few sizes."""

    def __init__(self, runtime: Runtime, name: str, side: int, batches: Sequence[int]) -> None:
        self._side, self._batches = side, batches
        self._request = runtime.compile(name, "f32", [(-1, side, side, 3)])
        # OpenVINO prepares for each size when it first meets it.
        for batch in batches:
            self._infer(np.zeros((batch, side, side, 3), dtype=np.float32))
        self._width = self._request.get_output_tensor(0).shape[1]

    def run(
        self, sums: PhotoSums, boxes: FloatArray
    ) -> tuple[mtcnn.IndexArray, mtcnn.IndexArray, FloatArray]:
        """Look at the boxes that lie in the photo.

        Returns
        -------
        their indices, what was cut out for them in whole pixels, and the network's outputs.
        """
        whole = mtcnn.clip(boxes, sums.height, sums.width)
        inside = ((whole[:, 2] > whole[:, 0]) & (whole[:, 3] > whole[:, 1])).nonzero()[0]
        whole = whole[inside]
        outputs = np.empty((len(whole), self._width), dtype=np.float32)
        done = 0
        for part in sums.crops(whole, self._side, self._batches[-1]):
            batch = next(each for each in self._batches if each >= len(part))
            padded = np.concatenate([part, part[:1].repeat(batch - len(part), axis=0)])
            outputs[done : done + len(part)] = self._infer(padded)[: len(part)]
            done += len(part)
        return inside, whole, outputs

    def _infer(self, pixels: FloatArray) -> FloatArray:
        self._request.set_input_tensor(ov.Tensor(pixels, shared_memory=True))
        self._request.infer()
        outputs: FloatArray = self._request.get_output_tensor(0).data
        return outputs


class OpenVinoEmbedder:
    """FaceNet in float32, or in bfloat16 (cosine to float32 at least 0.998)."""

    def __init__(self, runtime: Runtime, precision: Precision) -> None:
        self._request = runtime.compile("facenet", precision, [(-1, 160, 160, 3)])
        # The first inference reads the weights.
        self.embed([np.zeros((160, 160, 3), dtype=np.uint8)] * _EMBED_BATCH)
        runtime.forget("facenet")

    @property
    def model(self) -> ModelInfo:
        """Which network and crop the vectors come from."""
        return MODEL

    def embed(self, crops: Sequence[RgbImage]) -> FloatArray:
        """Return (n, 512) float32 rows of unit length for n (160, 160, 3) uint8 RGB crops."""
        vectors = np.empty((len(crops), EMBEDDING_SIZE), dtype=np.float32)
        for start in range(0, len(crops), _EMBED_BATCH):
            part = np.stack(crops[start : start + _EMBED_BATCH])
            self._request.set_input_tensor(ov.Tensor(part, shared_memory=True))
            self._request.infer()
            vectors[start : start + len(part)] = self._request.get_output_tensor(0).data
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors
