"""Decode: from bytes to upright RGB pixels, so many pixels at a time."""

import math
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from gpu_worker.backends.memory import make_room
from gpu_worker.photos import check, decode
from gpu_worker.protocol import Task


class PixelBudget:
    """Bounds the pixels that are decoded at the same time, and so the memory.

    Who comes first is first: small photos that always find room would keep a large one waiting
    as long as they come.

    Parameters
    ----------
    total : pixels; a photo of more waits until it is the only one.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._used = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    def acquire(self, pixels: int) -> None:
        """Wait until so many pixels are free, and take them."""
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            self._changed.wait_for(lambda: self._waiting[0] is turn and self._has_room(pixels))
            self._waiting.popleft()
            self._used += pixels
            self._changed.notify_all()

    def release(self, pixels: int) -> None:
        """Give pixels back."""
        with self._changed:
            self._used -= pixels
            self._changed.notify_all()

    def _has_room(self, pixels: int) -> bool:
        return not self._used or self._used + pixels <= self.total


@dataclass(frozen=True)
class Decode:
    """Decodes photos.

    Attributes
    ----------
    max_pixels : photos of more are refused before they are decoded.
    """

    budget: PixelBudget
    max_pixels: int

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Fill in the pixels; PhotoError when the file is no photo that is taken."""
        for task in tasks:
            self._decode(task)

    def _decode(self, task: Task) -> None:
        found = check(task.data, task.request.content_type, self.max_pixels)
        # Where only Pillow finds the size, the most that it may be.
        pixels = self.max_pixels if found.size is None else math.prod(found.size)
        self.budget.acquire(pixels)
        if pixels > self.budget.total:
            make_room()
        try:
            photo = decode(task.data, task.request.content_type, self.max_pixels)
        except BaseException:
            self.budget.release(pixels)
            raise
        task.data = b""
        task.keep_photo(photo, lambda: self.budget.release(pixels))
