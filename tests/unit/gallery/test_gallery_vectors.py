"""Vectors on their way to and from pgvector."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces.gallery.vectors import decode, encode
from tests.fixtures.gallery import vector


def sent(values: np.ndarray) -> bytes:
    """What `halfvec_send` answers for these values."""
    header = np.array([len(values), 0], dtype=">i2")
    return header.tobytes() + values.astype(">f2").tobytes()


@given(st.lists(st.integers(0, 2**32 - 1), max_size=5))
def test_decode_gives_back_unit_vectors(seeds: list[int]) -> None:
    vectors = [vector(seed) for seed in seeds]

    decoded = decode([sent(each) for each in vectors])

    assert decoded.shape == (len(seeds), 512)
    assert decoded.dtype == np.float32
    for got, expected in zip(decoded, vectors, strict=True):
        assert got @ expected == pytest.approx(1, abs=1e-6)
        assert np.linalg.norm(got) == pytest.approx(1, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_encode_keeps_single_precision(seed: int) -> None:
    text = encode(vector(seed))
    read = np.array(text.strip("[]").split(","), dtype=np.float32)
    np.testing.assert_allclose(read, vector(seed), rtol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        vector(1)[:511],
        vector(1)[None, :],
        2 * vector(1),
        np.zeros(512, dtype=np.float32),
        np.full(512, np.nan, dtype=np.float32),
        np.where(np.arange(512) == 7, np.inf, vector(1)).astype(np.float32),
    ],
    ids=["short", "matrix", "too long", "zero", "nan", "infinite"],
)
def test_encode_refuses_what_would_spoil_the_gallery(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="an embedding has"):
        encode(wrong)
