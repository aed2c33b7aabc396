"""The reference backend: facenet-pytorch as its authors published it, on one device.

Slow and simple; faster backends are compared with it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from faces.contracts.results import ModelInfo
from gpu_worker.backends.base import (
    EMBEDDING_SIZE,
    Detection,
    FloatArray,
    ModelUnusableError,
    RgbImage,
    SmallestFace,
    min_face_px,
)
from gpu_worker.backends.model import MODEL
from gpu_worker.backends.torchvision_shim import ensure_torchvision

ensure_torchvision()

from facenet_pytorch import MTCNN, InceptionResnetV1  # noqa: E402 - needs the shim
from facenet_pytorch.models.utils.detect_face import detect_face  # noqa: E402

_PNET_FIELD_PX = 12
_EMBED_BATCH = 32


def set_threads(threads: int) -> None:
    """Let the networks use so many threads; 0 keeps torch's default, one for each core."""
    if threads > 0:
        torch.set_num_threads(threads)


class MtcnnDetector:
    """MTCNN (Zhang et al. 2016) with the weights that facenet-pytorch brings.

    Parameters
    ----------
    smallest : the shortest face side that is searched for, by the photo's height and width.
    dtype : what the networks compute in; float64 tells what rounding does to float32.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        smallest: SmallestFace = min_face_px,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._smallest = smallest
        self._device = device or torch.device("cpu")
        self._networks = load_mtcnn(self._device).to(dtype)

    def detect(self, images: Sequence[RgbImage]) -> list[list[Detection]]:
        """Return the faces of each (height, width, 3) uint8 RGB image."""
        return [self._detect_one(image) for image in images]

    @torch.inference_mode()
    def _detect_one(self, image: RgbImage) -> list[Detection]:
        height, width = image.shape[:2]
        smallest = self._smallest(height, width)
        # facenet-pytorch fails on photos without a single pyramid level.
        if min(height, width) * _PNET_FIELD_PX / smallest < _PNET_FIELD_PX:
            return []
        nets = self._networks
        boxes, landmarks = detect_face(
            image,
            smallest,
            nets.pnet,
            nets.rnet,
            nets.onet,
            nets.thresholds,
            nets.factor,
            self._device,
        )
        return [
            Detection(
                box=np.asarray(row[:4], dtype=np.float32),
                landmarks=np.asarray(points, dtype=np.float32),
                confidence=min(1.0, float(row[4])),
            )
            for row, points in zip(boxes[0], landmarks[0], strict=True)
        ]


class FaceNetEmbedder:
    """InceptionResnetV1 trained on VGGFace2 (Cao et al. 2018), 512 dimensions.

    Parameters
    ----------
    weights : the file `20180402-114759-vggface2.pt` of facenet-pytorch.

    Raises
    ------
    ModelUnusableError
        When the file is damaged or holds another network.
    """

    def __init__(self, weights: Path, device: torch.device | None = None) -> None:
        self._device = device or torch.device("cpu")
        self._network = load_facenet(weights).to(self._device)

    @property
    def model(self) -> ModelInfo:
        """Which network and crop the vectors come from."""
        return MODEL

    @torch.inference_mode()
    def embed(self, crops: Sequence[RgbImage]) -> FloatArray:
        """Return (n, 512) float32 rows of unit length for n (160, 160, 3) uint8 RGB crops."""
        vectors = np.empty((len(crops), EMBEDDING_SIZE), dtype=np.float32)
        for start in range(0, len(crops), _EMBED_BATCH):
            part = np.stack(crops[start : start + _EMBED_BATCH])
            inputs = torch.from_numpy(part).to(self._device).permute(0, 3, 1, 2).float()
            # The fixed standardisation of the training, not one for each image.
            outputs = self._network((inputs - 127.5) / 128.0)
            vectors[start : start + len(part)] = outputs.cpu().numpy()
        return vectors


def load_mtcnn(device: torch.device) -> MTCNN:
    """Return the three networks in evaluation mode, with the weights of the wheel."""
    return MTCNN(device=device).eval()


def mtcnn_weights(networks: MTCNN) -> dict[str, FloatArray]:
    """Return the weights of the three networks by name, such as `pnet.conv1.weight`."""
    return {
        f"{name}.{part}": value.numpy()
        for name in ("pnet", "rnet", "onet")
        for part, value in getattr(networks, name).cpu().state_dict().items()
    }


def load_facenet(weights: Path) -> InceptionResnetV1:
    """Return the network in evaluation mode, without the classifier it was trained with.

    `InceptionResnetV1(pretrained="vggface2")` gives the same vectors, but downloads
    without a time limit and first draws 28 million random numbers.
    """
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        with torch.device("meta"):
            network = InceptionResnetV1()
        network.load_state_dict(
            {
                name: value.float() if value.is_floating_point() else value
                for name, value in state.items()
                if not name.startswith("logits.")
            },
            assign=True,
        )
    except Exception as error:
        raise ModelUnusableError(
            f"The weights in {weights} cannot be read ({type(error).__name__}); "
            "delete the file and let it be downloaded again."
        ) from error
    return network.eval()
