"""MTCNN's networks in float64, in numpy: slow, and right in every digit of a float32."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_worker.backends.base import FloatArray

FILE_NAME = "mtcnn.npz"

_AT_ONCE = 16

_Array = NDArray[np.float64]


class PreciseNets:
    """P-, R- and O-Net's offsets of a few boxes.

    Parameters
    ----------
    weights : facenet-pytorch's, named `pnet.conv1.weight` and so on.
    """

    def __init__(self, weights: dict[str, FloatArray]) -> None:
        self._weights = {name: value.astype(np.float64) for name, value in weights.items()}

    @classmethod
    def load(cls, folder: Path) -> "PreciseNets":
        """Read the weights that `gpu_worker.backends.convert` wrote."""
        with np.load(folder / FILE_NAME) as file:
            return cls({name: file[name] for name in file.files})

    def pnet(self, pixels: FloatArray, rows: int, columns: int) -> FloatArray:
        """Return P-Net's offsets, (4,), for what one of its cells sees.

        Parameters
        ----------
        pixels : (12, 12, 3); zeros from row `rows` and column `columns`, where the level ends.
        """
        y = self._layer("pnet", 1, pixels[np.newaxis].astype(np.float64))
        y[:, rows - 2 :] = -np.inf
        y[:, :, columns - 2 :] = -np.inf
        y = self._layer("pnet", 2, _pool(y, 2))
        y = self._layer("pnet", 3, y)
        return self._conv("pnet.conv4_2", y).reshape(4).astype(np.float32)

    def rnet(self, pixels: FloatArray) -> FloatArray:
        """Return R-Net's offsets, (n, 4), for (n, 24, 24, 3)."""
        return _in_parts(self._rnet, pixels)

    def onet(self, pixels: FloatArray) -> FloatArray:
        """Return O-Net's offsets, (n, 4), for (n, 48, 48, 3)."""
        return _in_parts(self._onet, pixels)

    def _rnet(self, pixels: FloatArray) -> FloatArray:
        y = _pool(self._layer("rnet", 1, pixels.astype(np.float64)), 3)
        y = _pool(self._layer("rnet", 2, y), 3)
        y = self._dense("rnet.dense4", _flat(self._layer("rnet", 3, y)))
        y = _prelu(y, self._weights["rnet.prelu4.weight"])
        return self._dense("rnet.dense5_2", y).astype(np.float32)

    def _onet(self, pixels: FloatArray) -> FloatArray:
        y = _pool(self._layer("onet", 1, pixels.astype(np.float64)), 3)
        y = _pool(self._layer("onet", 2, y), 3)
        y = _pool(self._layer("onet", 3, y), 2)
        y = self._dense("onet.dense5", _flat(self._layer("onet", 4, y)))
        y = _prelu(y, self._weights["onet.prelu5.weight"])
        return self._dense("onet.dense6_2", y).astype(np.float32)

    def _layer(self, net: str, number: int, y: _Array) -> _Array:
        y = self._conv(f"{net}.conv{number}", y)
        return _prelu(y, self._weights[f"{net}.prelu{number}.weight"])

    def _conv(self, name: str, y: _Array) -> _Array:
        kernel = self._weights[f"{name}.weight"]  # (out, in, height, width)
        seen = np.lib.stride_tricks.sliding_window_view(y, kernel.shape[2:], axis=(1, 2))
        out: _Array = np.tensordot(seen, kernel, axes=([3, 4, 5], [1, 2, 3]))
        return out + self._weights[f"{name}.bias"]

    def _dense(self, name: str, y: _Array) -> _Array:
        out: _Array = y @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return out


def _in_parts(net: Callable[[FloatArray], FloatArray], pixels: FloatArray) -> FloatArray:
    """Ask a network of a few at a time: a crowd has thousands, at a megabyte or two each."""
    starts = range(0, max(1, len(pixels)), _AT_ONCE)
    return np.concatenate([net(pixels[start : start + _AT_ONCE]) for start in starts])


def _prelu(y: _Array, slope: _Array) -> _Array:
    return np.where(y > 0, y, y * slope)


def _flat(y: _Array) -> _Array:
    """Flatten as facenet-pytorch does: columns, rows, channels."""
    return y.transpose(0, 2, 1, 3).reshape(len(y), -1)


def _pool(y: _Array, size: int) -> _Array:
    """Return the maxima of windows of this size, two apart, the last ones cut off."""
    short = [-(side - size) % 2 for side in y.shape[1:3]]
    padded = np.pad(y, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)), constant_values=-np.inf)
    seen = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    maxima: _Array = seen[:, ::2, ::2].max(axis=(4, 5))
    return maxima
