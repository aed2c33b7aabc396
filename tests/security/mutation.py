"""Hostile files: well-formed ones, changed at random where it hurts; seeded.

The ways are those of radamsa (Helin, Aki: "radamsa", OUSPG): flipped bits, numbers at the
edge of what fits, pieces repeated, removed, exchanged and taken from another file.
"""

import random
from collections.abc import Callable, Sequence

# What lengths, sizes and counts go wrong at.
_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Mutator:
    """Makes variants of `seeds`; the same seed gives the same variants."""

    def __init__(self, seeds: Sequence[bytes], seed: int) -> None:
        self._seeds = list(seeds)
        self._random = random.Random(seed)
        self._ways: list[Callable[[bytearray], bytearray]] = [
            self._flip_bits,
            self._set_bytes,
            self._set_number,
            self._remove,
            self._repeat,
            self._swap,
            self._cut_off,
            self._splice,
            self._append,
        ]

    def variant(self) -> tuple[int, bytes]:
        """Return which of the seeds it was, and what became of it."""
        number = self._random.randrange(len(self._seeds))
        data = bytearray(self._seeds[number])
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 8))):
            data = self._random.choice(self._ways)(data) or bytearray(b"\0")
        return number, bytes(data)

    def _place(self, data: bytearray, size: int = 1) -> int:
        # Heads hold what decoders trust, so half of all changes are there.
        end = max(1, len(data) - size + 1)
        return self._random.randrange(min(end, 200) if self._random.random() < 0.5 else end)

    def _piece(self, data: bytearray) -> tuple[int, int]:
        start = self._place(data)
        return start, min(len(data), start + self._random.choice((1, 2, 4, 16, 64, 512)))

    def _flip_bits(self, data: bytearray) -> bytearray:
        for _ in range(self._random.choice((1, 2, 16))):
            data[self._place(data)] ^= 1 << self._random.randrange(8)
        return data

    def _set_bytes(self, data: bytearray) -> bytearray:
        start, end = self._piece(data)
        data[start:end] = self._random.randbytes(end - start)
        return data

    def _set_number(self, data: bytearray) -> bytearray:
        size = self._random.choice((1, 2, 4))
        start = self._place(data, size)
        number = self._random.choice(_EDGES) & ((1 << 8 * size) - 1)
        order = self._random.choice(("big", "little"))
        data[start : start + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
        return data

    def _remove(self, data: bytearray) -> bytearray:
        start, end = self._piece(data)
        del data[start:end]
        return data

    def _repeat(self, data: bytearray) -> bytearray:
        start, end = self._piece(data)
        data[start:start] = data[start:end] * self._random.choice((1, 2, 50))
        return data

    def _swap(self, data: bytearray) -> bytearray:
        start, end = self._piece(data)
        piece = data[start:end]
        del data[start:end]
        at = self._place(data) if data else 0
        data[at:at] = piece
        return data

    def _cut_off(self, data: bytearray) -> bytearray:
        return data[: self._place(data)]

    def _splice(self, data: bytearray) -> bytearray:
        other = self._random.choice(self._seeds)
        return data[: self._place(data)] + other[self._random.randrange(len(other)) :]

    def _append(self, data: bytearray) -> bytearray:
        return data + self._random.randbytes(self._random.choice((1, 100, 5000)))
