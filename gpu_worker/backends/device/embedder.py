"""FaceNet on a device: bfloat16, pixels last, in batches of few sizes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from faces.contracts.results import ModelInfo
from gpu_worker.backends.base import EMBEDDING_SIZE, FloatArray, RgbImage
from gpu_worker.backends.device.graphs import Lane, Replays, at_least
from gpu_worker.backends.model import MODEL
from gpu_worker.backends.networks import FaceNet
from gpu_worker.backends.reference import load_facenet
from gpu_worker.crop import CROP_PX

BATCHES = (1, 4, 16, 64, 256)


class DeviceEmbedder:
    """FaceNet on a device.

    Parameters
    ----------
    dtype : of the network; of the vectors made in bfloat16 the cosine to float32 is at least
        0.998.
    compiled : whether torch writes kernels of its own, which takes minutes at the start.

    Raises
    ------
    ModelUnusableError
        When the weights are damaged.
    """

    def __init__(
        self,
        weights: Path,
        device: torch.device,
        dtype: torch.dtype = torch.bfloat16,
        *,
        compiled: bool = False,
        batches: Sequence[int] = BATCHES,
    ) -> None:
        self._device = device
        self._batches = batches
        self._lane = Lane(device)
        self._replays = Replays(device, most=len(batches))
        network = FaceNet(_without_norms(load_facenet(weights)), dtype).eval()
        network.to(device=device, dtype=dtype)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network: Callable[[torch.Tensor], torch.Tensor] = (
            torch.compile(network) if compiled else network
        )

    @property
    def model(self) -> ModelInfo:
        """Which network and crop the vectors come from."""
        return MODEL

    def embed(self, crops: Sequence[RgbImage]) -> FloatArray:
        """Return (n, 512) float32 rows of unit length for n (160, 160, 3) uint8 RGB crops."""
        vectors = np.empty((len(crops), EMBEDDING_SIZE), dtype=np.float32)
        with self._lane.open():
            waiting = []
            for start in range(0, len(crops), self._batches[-1]):
                part = crops[start : start + self._batches[-1]]
                waiting.append((start, len(part), self._infer(self._upload(part))))
            # Only now the host waits: the device has all batches.
            for start, count, found in waiting:
                vectors[start : start + count] = found[:count].cpu().numpy()
        return vectors

    def embed_resident(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the vectors of (n, 160, 160, 3) uint8 crops that are on the device, there.

        Parameters
        ----------
        pixels : n is a size of batch.
        """
        with self._lane.open():
            return self._infer(pixels)

    def warm_up(self) -> None:
        """Run every size of batch once."""
        blank = np.zeros((CROP_PX, CROP_PX, 3), dtype=np.uint8)
        for batch in self._batches:
            self.embed([blank] * batch)

    def _upload(self, crops: Sequence[RgbImage]) -> torch.Tensor:
        pixels = torch.empty(
            (at_least(len(crops), self._batches), CROP_PX, CROP_PX, 3),
            dtype=torch.uint8,
            pin_memory=self._device.type == "cuda",
        )
        np.stack(crops, out=pixels.numpy()[: len(crops)])
        pixels[len(crops) :] = 0
        return pixels.to(self._device, non_blocking=True)

    def _infer(self, pixels: torch.Tensor) -> torch.Tensor:
        [found] = self._replays.run(len(pixels), self._work, pixels)
        return found.clone()  # the next batch of this size overwrites it

    def _work(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
        return (nn.functional.normalize(self._network(pixels).float(), dim=1),)


def _without_norms(network: Any) -> Any:
    """Fold the batch normalisations into the layers before them, in float32."""
    for module in list(network.modules()):
        if hasattr(module, "conv") and hasattr(module, "bn"):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
    network.last_linear = fuse_linear_bn_eval(network.last_linear, network.last_bn)
    network.last_bn = nn.Identity()
    return network
