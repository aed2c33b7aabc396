"""Where the levels of an image pyramid lie on canvases of fixed sizes.

A network that is compiled for one input size is several times faster than one that takes
any size, and a canvas that fits a core's second-level cache is twice as fast as a whole
level. So large levels are cut into overlapping pieces, small ones share a canvas. Pieces
start on even pixels, P-Net's stride; each of P-Net's answers depends on 12 x 12 pixels of
its own piece only, so that neighbours do not matter, with one exception: on a level with
an odd side the last pooling window holds one pixel, and what lies beside it must not win.
`Piece.odd_bottom` and `odd_right` say where.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpu_worker.backends.mtcnn import CELL_PX, STRIDE

_OVERLAP = CELL_PX - STRIDE
"""Pixels that neighbouring pieces share, so that no answer is lost between them."""


@dataclass(frozen=True)
class Canvas:
    """A size of input, in pixels; both even."""

    height: int
    width: int


@dataclass(frozen=True)
class Piece:
    """Part of a level, in the level's pixels.

    Attributes
    ----------
    odd_bottom, odd_right : whether the piece ends where a level with an odd side ends.
    """

    level: int
    top: int
    left: int
    height: int
    width: int
    odd_bottom: bool
    odd_right: bool

    @property
    def rows(self) -> int:
        """How many rows of answers P-Net gives."""
        return answers(self.height)

    @property
    def columns(self) -> int:
        """How many columns of answers P-Net gives."""
        return answers(self.width)


@dataclass(frozen=True)
class Placed:
    """A piece on a canvas, its upper left corner at (y, x), both even."""

    piece: Piece
    y: int
    x: int


def answers(side: int) -> int:
    """Return how many answers P-Net gives along a side of so many pixels (its pool rounds up)."""
    return (side - 1) // STRIDE - _OVERLAP // STRIDE + 1


def spans(side: int, room: int) -> Iterator[tuple[int, int]]:
    """Cut a side into spans (start, length) that fit `room`; all but the last are even."""
    start = 0
    while side - start > room:
        yield start, room
        start += room - _OVERLAP
    yield start, side - start


def cut(level: int, height: int, width: int, canvas: Canvas) -> list[list[Piece]]:
    """Return the pieces of a level, by bands from top to bottom."""
    return [
        [
            Piece(
                level=level,
                top=top,
                left=left,
                height=rows,
                width=columns,
                odd_bottom=height % 2 == 1 and top + rows == height,
                odd_right=width % 2 == 1 and left + columns == width,
            )
            for left, columns in spans(width, canvas.width)
        ]
        for top, rows in spans(height, canvas.height)
    ]


def place(pieces: Iterable[Piece], canvas: Canvas) -> list[list[Placed]]:
    """Put pieces that fit onto canvases, on shelves, the tallest first."""
    canvases: list[list[Placed]] = []
    shelves: list[_Shelf] = []
    ends: list[int] = []  # where the next shelf of each canvas begins
    for piece in sorted(pieces, key=lambda piece: (-piece.height, -piece.width)):
        height, width = _even(piece.height), _even(piece.width)
        shelf = next(
            (s for s in shelves if height <= s.height and s.x + width <= canvas.width), None
        )
        if shelf is None:
            number = next((n for n, end in enumerate(ends) if end + height <= canvas.height), None)
            if number is None:
                number = len(canvases)
                canvases.append([])
                ends.append(0)
            shelf = _Shelf(number, ends[number], height)
            shelves.append(shelf)
            ends[number] += height
        canvases[shelf.canvas].append(Placed(piece, shelf.y, shelf.x))
        shelf.x += width
    return canvases


@dataclass
class _Shelf:
    canvas: int
    y: int
    height: int
    x: int = 0


def extent(placed: Sequence[Placed]) -> Canvas:
    """Return the size of canvas that the pieces need."""
    return Canvas(
        max(each.y + _even(each.piece.height) for each in placed),
        max(each.x + _even(each.piece.width) for each in placed),
    )


def _even(side: int) -> int:
    return side + side % 2
