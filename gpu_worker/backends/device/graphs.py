"""Replays of fixed work: a CUDA graph where there is one, the plain call elsewhere.

A network of many small layers costs more time to start than to run; a captured graph starts
all its kernels at once. It works on the very same memory each time, so inputs are copied
in, and what it returns is overwritten by the next call.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

Work = Callable[..., Sequence[torch.Tensor]]

_WARM_UPS = 2
"""Libraries choose algorithms and reserve memory in a first run, which cannot be captured."""


class Replays:
    """The last few kinds of fixed work, each captured when it is met first.

    Parameters
    ----------
    most : graphs that are kept; each keeps its memory.
    """

    def __init__(self, device: torch.device, most: int = 4) -> None:
        self._device = device
        self._most = most
        # They run one after the other, and may use the same memory for what is in between.
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self._captured: OrderedDict[Hashable, _Graph] = OrderedDict()

    def run(self, key: Hashable, work: Work, *inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return `work(*inputs)`.

        Parameters
        ----------
        key : names the work and its sizes; work of the same key does the same to inputs of
            the same shapes, without asking the host anything.

        Returns
        -------
        tensors that hold until the next call with this key.
        """
        if self._device.type != "cuda":
            return work(*inputs)
        graph = self._captured.pop(key, None) or _Graph(work, inputs, self._pool)
        self._captured[key] = graph
        while len(self._captured) > self._most:
            self._captured.popitem(last=False)
        return graph.replay(inputs)


class _Graph:
    def __init__(self, work: Work, inputs: Sequence[torch.Tensor], pool: Any) -> None:
        self._inputs = [each.clone() for each in inputs]
        for _ in range(_WARM_UPS):
            work(*self._inputs)
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        # Other threads of the worker may use the device meanwhile.
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._outputs = work(*self._inputs)

    def replay(self, inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._outputs


class Lane:
    """A stream of its own on a GPU: one part's waiting for results holds up no other's work."""

    def __init__(self, device: torch.device) -> None:
        self._stream = _stream(device) if device.type == "cuda" else None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Put the block's work into the lane."""
        if self._stream is None:
            with torch.inference_mode():
                yield
            return
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            yield


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def at_least(count: int, sizes: Sequence[int]) -> int:
    """Return the smallest of the ascending sizes that is at least `count`, else the largest."""
    return next((each for each in sizes if each >= count), sizes[-1])
