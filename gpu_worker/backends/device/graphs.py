"""Replays of fixed work: a CUDA graph where there is one, the plain call elsewhere.

A network of many small layers costs more time to start than to run; a captured graph starts
all its kernels at once. It works on the very same memory each time, so inputs are copied
in, and what it returns is overwritten by the next call.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager

import torch

Work = Callable[..., Sequence[torch.Tensor]]
Replay = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]
Capture = Callable[[Work, Sequence[torch.Tensor]], Replay]

_CAPTURING = threading.Lock()
_REMEMBERED = 256

_WARM_UPS = 2
"""Libraries choose algorithms and reserve memory in a first run, which cannot be captured."""


class Replays:
    """The last few kinds of fixed work, each captured when it has come a few times.

    A capture takes as long as dozens of plain calls, and each graph keeps its memory: photos of
    all sizes, which never make the same batch twice, must not be captured again and again.

    Parameters
    ----------
    most : graphs that are kept; each keeps its memory.
    after : calls with a key, among the last `_REMEMBERED` keys, before it is captured.
    capture : makes a graph.
    """

    def __init__(
        self,
        device: torch.device,
        most: int = 4,
        after: int = 0,
        capture: Capture | None = None,
    ) -> None:
        self._captures = device.type == "cuda" or capture is not None
        self._most = most
        self._after = after
        self._capture = capture or _Capture(device)
        self._captured: OrderedDict[Hashable, Replay] = OrderedDict()
        self._met: OrderedDict[Hashable, int] = OrderedDict()

    def run(self, key: Hashable, work: Work, *inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return `work(*inputs)`.

        Parameters
        ----------
        key : names the work and its sizes; work of the same key does the same to inputs of
            the same shapes, without asking the host anything.

        Returns
        -------
        tensors that hold until the next call with any key: graphs share their memory.
        """
        if not self._captures:
            return work(*inputs)
        graph = self._captured.pop(key, None)
        if graph is None:
            if not self._is_frequent(key):
                return work(*inputs)
            while len(self._captured) >= self._most:
                self._captured.popitem(last=False)
            graph = self._capture(work, inputs)
        self._captured[key] = graph
        return graph(inputs)

    def _is_frequent(self, key: Hashable) -> bool:
        met = self._met.pop(key, 0)
        if met >= self._after:
            return True
        self._met[key] = met + 1
        while len(self._met) > _REMEMBERED:
            self._met.popitem(last=False)
        return False


class _Capture:
    """Captures work on a GPU, into memory that all its graphs share.

    They run one after the other, so what is in between may lie in the same place.
    """

    def __init__(self, device: torch.device) -> None:
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def __call__(self, work: Work, inputs: Sequence[torch.Tensor]) -> Replay:
        mine = [each.clone() for each in inputs]
        # Whoever waits for the whole device while another thread captures spoils the capture,
        # and each capture begins with that.
        with _CAPTURING:
            for _ in range(_WARM_UPS):
                work(*mine)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Other threads of the worker may use the device meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = work(*mine)

        def replay(given: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
            for into, each in zip(mine, given, strict=True):
                into.copy_(each, non_blocking=True)
            graph.replay()
            return outputs

        return replay


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
