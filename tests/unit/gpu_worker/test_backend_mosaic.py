"""Cutting a pyramid into pieces and laying them out, without a network."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_worker.backends.mosaic import Canvas, Piece, answers, cut, extent, place

CANVAS = Canvas(40, 60)
sides = st.integers(12, 200)


def pieces_of(level: int, height: int, width: int) -> list[Piece]:
    return [piece for band in cut(level, height, width, CANVAS) for piece in band]


def pnet_side(side: int) -> int:
    """Walk through P-Net: 3 x 3 convolution, 2 x 2 pooling that rounds up, two convolutions."""
    return -(-(side - 2) // 2) - 2 - 2


@given(sides)
def test_answers_are_pnets(side: int) -> None:
    assert answers(side) == pnet_side(side)


@given(sides, sides)
def test_each_answer_of_a_level_comes_from_one_piece(height: int, width: int) -> None:
    seen = np.zeros((answers(height), answers(width)), dtype=int)
    for piece in pieces_of(0, height, width):
        assert piece.height <= CANVAS.height
        assert piece.width <= CANVAS.width
        top, left = piece.top // 2, piece.left // 2
        seen[top : top + piece.rows, left : left + piece.columns] += 1
    assert (seen == 1).all()


@given(sides, sides)
def test_odd_ends_are_marked_where_the_level_ends(height: int, width: int) -> None:
    for piece in pieces_of(0, height, width):
        assert piece.odd_bottom == (height % 2 == 1 and piece.top + piece.height == height)
        assert piece.odd_right == (width % 2 == 1 and piece.left + piece.width == width)
        # Only the ends can be odd: pooling windows of others must not hang over.
        assert piece.odd_bottom == (piece.height % 2 == 1)
        assert piece.odd_right == (piece.width % 2 == 1)


@settings(max_examples=50)
@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=5))
def test_pieces_lie_side_by_side_on_even_pixels(levels: list[tuple[int, int]]) -> None:
    pieces = [piece for n, (h, w) in enumerate(levels) for piece in pieces_of(n, h, w)]
    canvases = place(pieces, CANVAS)
    assert sorted(map(repr, pieces)) == sorted(repr(p.piece) for c in canvases for p in c)
    for placed in canvases:
        taken = np.zeros((CANVAS.height, CANVAS.width), dtype=int)
        for each in placed:
            assert each.y % 2 == each.x % 2 == 0
            bottom, right = each.y + each.piece.height, each.x + each.piece.width
            assert bottom <= CANVAS.height
            assert right <= CANVAS.width
            # An odd piece bounds the pooling in the row or column after it.
            taken[each.y : bottom + bottom % 2, each.x : right + right % 2] += 1
        assert taken.max() == 1
        needed = extent(placed)
        assert not taken[needed.height :].any()
        assert not taken[:, needed.width :].any()
