"""Vectors between Python and pgvector, and what the worker reads and writes of them.

Not imported by Lambdas: needs numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from faces.contracts.results import Box, FaceQuality

EMBEDDING_SIZE = 512
_UNIT_TOLERANCE = 0.01
# pgvector's binary form of a halfvec (halfvec_send): two int16, dimension and 0, then
# the IEEE 754 half-precision elements, all big-endian.
_HEADER_BYTES = 4

Embeddings = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
"""As the database has them; their length is 1 up to 5e-4."""


@dataclass(frozen=True, slots=True, eq=False)
class UnmatchedFace:
    """An unknown face that can be enrolled by its `req_id` until it expires.

    Attributes
    ----------
    embedding : float32, shape (512,), unit length.
    expires_at : aware.
    threshold : the cosine by which it was unknown.
    box, quality : as in the job's result; the quality goes with the face when enrolled.
    """

    req_id: str
    tenant: str
    collection: str
    job_id: str
    embedding: Embeddings
    model_tag: str
    expires_at: datetime
    box: Box | None = None
    quality: FaceQuality | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class GalleryFace:
    """Whose face a vector is."""

    face_id: str
    person_id: str
    name: str
    tenant: str
    collection: str


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Every face of one model tag, of all tenants and collections, at one moment.

    Attributes
    ----------
    position : of the change feed; `Gallery.changes_since` goes on from here.
    faces : n of them.
    embeddings : float16, shape (n, 512), as stored; row i belongs to `faces[i]`.
    """

    position: int
    faces: Sequence[GalleryFace]
    embeddings: Halves


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What a follower must do to be up to date; applying it twice changes nothing.

    The parts are disjoint, so their order does not matter.

    Attributes
    ----------
    position : to ask with the next time.
    faces : m faces to add, or to replace where `face_id` is known (a face that was moved
        to another person comes with the new one).
    embeddings : float16, shape (m, 512), as stored; row i belongs to `faces[i]`.
    removed : ids of faces that are gone; may name faces that the follower never had.
    renamed : the new name by person id, for all faces of that person.
    """

    position: int
    faces: Sequence[GalleryFace]
    embeddings: Halves
    removed: frozenset[str]
    renamed: dict[str, str]


def encode(embedding: Embeddings) -> str:
    """Return a vector in pgvector's text form.

    Raises
    ------
    ValueError
        When it is not of shape (512,), not finite or not of unit length: such a vector
        in the gallery would spoil every later search.
    """
    if embedding.shape != (EMBEDDING_SIZE,):
        raise ValueError(f"an embedding has shape ({EMBEDDING_SIZE},), not {embedding.shape}")
    length = float(np.linalg.norm(embedding))
    if not abs(length - 1) <= _UNIT_TOLERANCE:
        raise ValueError(f"an embedding has unit length, not {length}")
    return "[" + ",".join(f"{value:.7g}" for value in embedding.tolist()) + "]"


def decode(rows: Sequence[bytes]) -> Embeddings:
    """Return vectors from pgvector's binary form.

    Parameters
    ----------
    rows : n results of `halfvec_send`.

    Returns
    -------
    float32, shape (n, 512), brought back to unit length (half precision moves it by up
    to 5e-4).
    """
    vectors = decode_halves(rows).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def decode_halves(rows: Sequence[bytes]) -> Halves:
    """Return vectors from pgvector's binary form as they are stored, float16, (n, 512)."""
    row_bytes = _HEADER_BYTES + 2 * EMBEDDING_SIZE
    raw = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), row_bytes)
    halves = np.ascontiguousarray(raw[:, _HEADER_BYTES:]).view(">f2")
    return halves.astype(np.float16)
