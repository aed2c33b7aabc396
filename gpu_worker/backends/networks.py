"""The networks as the fast backends run them: pixels last, the heads joined.

The same weights and operations as facenet-pytorch's modules, from which they are made.
"""

from typing import Any

import torch
from torch import nn


class _Wrapped(nn.Module):
    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net: Any = net


class PNet(_Wrapped):
    """P-Net from (n, height, width, 3) to (n, rows, columns, 2 logits + 4 offsets).

    A second input, (1, 1, height - 2, width - 2), may bound what the pooling sees: -inf
    where it shall see nothing. A third, of the pooling's size, is False where nothing is
    pooled: infinities must not reach convolutions that work on whole tiles.
    """

    def __init__(self, net: Any) -> None:
        super().__init__(net)
        self.heads = nn.Conv2d(32, 6, kernel_size=1)
        self.heads.weight = nn.Parameter(torch.cat([net.conv4_1.weight, net.conv4_2.weight]))
        self.heads.bias = nn.Parameter(torch.cat([net.conv4_1.bias, net.conv4_2.bias]))

    def forward(
        self,
        x: torch.Tensor,
        bound: torch.Tensor | None = None,
        pooled: torch.Tensor | None = None,
    ) -> torch.Tensor:
        net = self.net
        y = net.prelu1(net.conv1(x.permute(0, 3, 1, 2)))
        if bound is not None:
            y = torch.minimum(y, bound)
        y = net.pool1(y)
        if pooled is not None:
            y = y.masked_fill(~pooled, 0.0)
        y = net.prelu2(net.conv2(y))
        y = net.prelu3(net.conv3(y))
        return self.heads(y).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class RNet(_Wrapped):
    """R-Net from (n, 24, 24, 3) to (n, 2 logits + 4 offsets)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        net = self.net
        y = net.pool1(net.prelu1(net.conv1(x.permute(0, 3, 1, 2))))
        y = net.pool2(net.prelu2(net.conv2(y)))
        y = net.prelu3(net.conv3(y)).permute(0, 3, 2, 1).flatten(1)
        y = net.prelu4(net.dense4(y))
        return torch.cat([net.dense5_1(y), net.dense5_2(y)], dim=1)


class ONet(_Wrapped):
    """O-Net from (n, 48, 48, 3) to (n, 2 logits + 4 offsets + 10 points)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        net = self.net
        y = net.pool1(net.prelu1(net.conv1(x.permute(0, 3, 1, 2))))
        y = net.pool2(net.prelu2(net.conv2(y)))
        y = net.pool3(net.prelu3(net.conv3(y)))
        y = net.prelu4(net.conv4(y)).permute(0, 3, 2, 1).flatten(1)
        y = net.prelu5(net.dense5(y))
        return torch.cat([net.dense6_1(y), net.dense6_2(y), net.dense6_3(y)], dim=1)


class FaceNet(_Wrapped):
    """InceptionResnetV1 from (n, 160, 160, 3) uint8 to (n, 512) of any length.

    The vectors are brought to unit length outside, in float32: bfloat16 has three digits.
    """

    def __init__(self, net: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(net)
        self.net.logits, self.net.classify = nn.Identity(), True
        self._dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        standardised = (x.permute(0, 3, 1, 2).float() - 127.5) / 128.0
        return self.net(standardised.to(self._dtype))  # type: ignore[no-any-return]
