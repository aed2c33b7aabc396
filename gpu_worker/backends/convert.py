"""`python -m gpu_worker.backends.convert WEIGHTS FOLDER`: networks from torch to OpenVINO.

Runs once for a set of weights, in a process of its own, so that workers import no torch;
see `gpu_worker.backends.converted`.
"""

import sys
from pathlib import Path
from typing import Any

import openvino as ov
import torch
from torch import nn

from gpu_worker.backends.base import ModelUnusableError
from gpu_worker.backends.reference import load_facenet, load_mtcnn

ANY = -1
CROP_SHAPE = [ANY, 160, 160, 3]


class PNet(nn.Module):
    """P-Net from (n, height, width, 3) to (n, rows, columns, 2 logits + 4 offsets).

    A second input, (1, 1, height - 2, width - 2), may bound what the pooling sees: -inf
    where it shall see nothing.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net: Any = net
        self.heads = nn.Conv2d(32, 6, kernel_size=1)
        self.heads.weight = nn.Parameter(torch.cat([net.conv4_1.weight, net.conv4_2.weight]))
        self.heads.bias = nn.Parameter(torch.cat([net.conv4_1.bias, net.conv4_2.bias]))

    def forward(self, x: torch.Tensor, bound: torch.Tensor | None = None) -> torch.Tensor:
        net = self.net
        y = net.prelu1(net.conv1(x.permute(0, 3, 1, 2)))
        if bound is not None:
            y = torch.minimum(y, bound)
        y = net.prelu2(net.conv2(net.pool1(y)))
        y = net.prelu3(net.conv3(y))
        return self.heads(y).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class RNet(nn.Module):
    """R-Net from (n, 24, 24, 3) to (n, 2 logits + 4 offsets)."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net: Any = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        net = self.net
        y = net.pool1(net.prelu1(net.conv1(x.permute(0, 3, 1, 2))))
        y = net.pool2(net.prelu2(net.conv2(y)))
        y = net.prelu3(net.conv3(y)).permute(0, 3, 2, 1).flatten(1)
        y = net.prelu4(net.dense4(y))
        return torch.cat([net.dense5_1(y), net.dense5_2(y)], dim=1)


class ONet(nn.Module):
    """O-Net from (n, 48, 48, 3) to (n, 2 logits + 4 offsets + 10 points)."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net: Any = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        net = self.net
        y = net.pool1(net.prelu1(net.conv1(x.permute(0, 3, 1, 2))))
        y = net.pool2(net.prelu2(net.conv2(y)))
        y = net.pool3(net.prelu3(net.conv3(y)))
        y = net.prelu4(net.conv4(y)).permute(0, 3, 2, 1).flatten(1)
        y = net.prelu5(net.dense5(y))
        return torch.cat([net.dense6_1(y), net.dense6_2(y), net.dense6_3(y)], dim=1)


class FaceNet(nn.Module):
    """InceptionResnetV1 from (n, 160, 160, 3) uint8 to (n, 512) of any length.

    The vectors are brought to unit length outside, in float32: bfloat16 has three digits.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net: Any = net
        self.net.logits, self.net.classify = nn.Identity(), True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net((x.permute(0, 3, 1, 2).float() - 127.5) / 128.0)  # type: ignore[no-any-return]


@torch.inference_mode()
def convert(weights: Path, folder: Path) -> None:
    """Write the networks as OpenVINO IR into an existing folder.

    Raises
    ------
    ModelUnusableError
        When the weights are damaged.
    """
    mtcnn = load_mtcnn(torch.device("cpu"))
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
