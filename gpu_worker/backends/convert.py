"""`python -m gpu_worker.backends.convert WEIGHTS FOLDER`: networks from torch to OpenVINO.

Runs once for a set of weights, in a process of its own, so that workers import no torch;
see `gpu_worker.backends.converted`.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from torch import nn

from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.backends.networks import FaceNet, ONet, PNet, RNet
from gpu_worker.backends.precise import FILE_NAME
from gpu_worker.backends.reference import load_facenet, load_mtcnn, mtcnn_weights

ANY = -1
CROP_SHAPE = [ANY, 160, 160, 3]


@torch.inference_mode()
def convert(weights: Path, folder: Path) -> None:
    """Write the networks as OpenVINO IR into an existing folder.

    Raises
    ------
    ModelUnusableError
        When the weights are damaged.
    """
    mtcnn = load_mtcnn(torch.device("cpu"))
    np.savez(folder / FILE_NAME, allow_pickle=False, **mtcnn_weights(mtcnn))
    pixels, bound = torch.zeros(1, 32, 48, 3), torch.zeros(1, 1, 30, 46)
    image = [1, ANY, ANY, 3]
    _save(PNet(mtcnn.pnet), folder / "pnet.xml", (pixels,), (image,))
    _save(
        PNet(mtcnn.pnet),
        folder / "pnet-masked.xml",
        (pixels, bound),
        (image, [1, 1, ANY, ANY]),
    )
    _save(RNet(mtcnn.rnet), folder / "rnet.xml", (torch.zeros(2, 24, 24, 3),), ([ANY, 24, 24, 3],))
    _save(ONet(mtcnn.onet), folder / "onet.xml", (torch.zeros(2, 48, 48, 3),), ([ANY, 48, 48, 3],))
    crops = torch.zeros(2, 160, 160, 3, dtype=torch.uint8)
    _save(FaceNet(load_facenet(weights)), folder / "facenet.xml", (crops,), (CROP_SHAPE,))


def _save(
    network: nn.Module,
    path: Path,
    examples: tuple[torch.Tensor, ...],
    shapes: tuple[list[int], ...],
) -> None:
    inputs = [ov.PartialShape(shape) for shape in shapes]
    model = ov.convert_model(network.eval(), example_input=examples, input=inputs)
    ov.save_model(model, path, compress_to_fp16=False)


if __name__ == "__main__":
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except ModelUnusableError as error:
        sys.exit(str(error))
