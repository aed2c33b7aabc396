"""A bounded queue between two stages, from which batches are taken."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Inbox(Generic[_Item]):
    """Items that wait for a stage; who puts one into a full inbox waits.

    Parameters
    ----------
    capacity : the weight from which an inbox is full.
    weigh : what an item counts towards that and the size of a batch, at least 1.
    """

    def __init__(self, capacity: int, weigh: Callable[[_Item], int] = lambda _: 1) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._items: deque[_Item] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: _Item) -> bool:
        """Add an item, waiting for room; return False, and add nothing, once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._weight() < self._capacity)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def take(
        self,
        size: int,
        linger_seconds: float = 0.0,
        more_to_come: Callable[[], bool] = lambda: False,
    ) -> list[_Item]:
        """Take a batch, waiting for its first item; return [] once closed.

        Parameters
        ----------
        size : the batch's largest weight; a single heavier item is a batch of its own.
        linger_seconds : how long the batch may wait to be filled.
        more_to_come : whether waiting makes sense; a batch goes at once when it does not.
        """
        with self._changed:
            batch: list[_Item] = []
            # What waits may be taken back while the batch is filled.
            while not batch and not self._closed:
                self._changed.wait_for(lambda: self._closed or self._items)
                self._linger(size, linger_seconds, more_to_come)
                batch = self._batch(size)
            return batch

    def take_back(self) -> list[_Item]:
        """Take everything that waits, without waiting."""
        with self._changed:
            taken = list(self._items)
            self._items.clear()
            self._changed.notify_all()
            return taken

    def close(self) -> list[_Item]:
        """End all waiting, now and later; return what was still in here."""
        with self._changed:
            self._closed = True
        return self.take_back()

    def poke(self) -> None:
        """Have a batch that waits to be filled ask again whether more is to come."""
        with self._changed:
            self._changed.notify_all()

    def _weight(self) -> int:
        return sum(map(self._weigh, self._items))

    def _linger(self, size: int, seconds: float, more_to_come: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while (
            not self._closed
            and self._weight() < size
            and (left := deadline - time.monotonic()) > 0
            and more_to_come()
        ):
            self._changed.wait(left)

    def _batch(self, size: int) -> list[_Item]:
        batch: list[_Item] = []
        weight = 0
        while self._items:
            weight += self._weigh(self._items[0])
            if batch and weight > size:
                break
            batch.append(self._items.popleft())
        self._changed.notify_all()
        return batch
