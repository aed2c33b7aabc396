"""Search: exact in the worker's memory, and by the database's HNSW index.

    python -m benchmarks search                   # 10,000 and 100,000 faces
    python -m benchmarks.search --faces 1000000   # exact in memory only, 4 GB of it
    python -m benchmarks.search --hnsw 20000      # a smaller index, which is made sooner
    python -m benchmarks.search --hnsw 100000 --even    # HNSW's hardest case
    python -m benchmarks.search --hnsw 100000 --m 32 --ef-construction 128

Vectors are made up, and spread as FaceNet's are: of 1,583 LFW faces, people differ in some
60 directions, more in the first than in the last, and two photos of a person by a quarter of
that. With `--even`, people are spread evenly over all 512 directions, and probes have a cosine
of 0.7 to their person's face: no direction tells an index where to look.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psycopg
from rich.console import Console

from benchmarks.ending import end_in_order
from benchmarks.result import Figure, Outcome
from faces.contracts.ids import new_id
from faces.gallery.approximate import (
    HNSW_EF_CONSTRUCTION,
    HNSW_M,
    DatabaseSearch,
    index_collections,
)
from faces.gallery.database import Connection, KeptConnection, connect
from faces.gallery.migrations import migrate
from faces.gallery.vectors import EMBEDDING_SIZE, Embeddings
from gpu_worker.index import CollectionIndex
from local_stack.postgres import PostgresService
from local_stack.settings import free_ports

NAME = "search"
SUMMARY = "the nearest person of a face: time, and how often HNSW misses"

FACES = (10_000, 100_000)
HNSW_FACES = 100_000
EF_SEARCH = (40, 100, 200, 400)
BATCHES = (1, 32)
PROBES = 512

_MODEL = "benchmark/1"
_COSINE = 0.7
_SECONDS = 2.0

# Fitted to 1,583 LFW faces: variance falls as exp(-i / 24) over 64 directions, and a share
# of it is between photos of the same person.
_DIRECTIONS, _DECAY, _WITHIN = 64, 24.0, 0.225


def run(console: Console) -> Outcome:
    """Measure with the default sizes."""
    return measure(console, FACES, Hnsw(HNSW_FACES))


@dataclass(frozen=True)
class Hnsw:
    """What to measure in the database.

    Attributes
    ----------
    faces : 0 for not at all.
    even : whether people are spread evenly over all directions.
    m, ef_construction : of the index.
    """

    faces: int
    even: bool = False
    m: int = HNSW_M
    ef_construction: int = HNSW_EF_CONSTRUCTION


def measure(console: Console, sizes: Sequence[int], hnsw: Hnsw) -> Outcome:
    """Measure in memory at `sizes`, and in the database."""
    figures: list[Figure] = []
    for faces in sizes:
        console.print(f"  {faces:,} faces in memory")
        vectors, probes = made_up(faces)
        index = CollectionIndex()
        for vector in vectors:
            index.put(new_id(), new_id(), vector)
        del vectors
        search = partial(index.search, count=4)
        figures += [
            Figure(
                name=f"exact, {faces:,} faces, batch {batch}",
                value=milliseconds(search, probes, batch),
                unit="ms/face",
            )
            for batch in BATCHES
        ]
    if hnsw.faces:
        figures += _database(console, hnsw)
    spread = "evenly, HNSW's hardest case" if hnsw.even else "as those of LFW's faces are"
    return Outcome(
        benchmark=NAME,
        figures=tuple(figures),
        samples={figure.name: (figure.value,) for figure in figures if figure.unit == "ms/face"},
        sample_unit="ms/face",
        notes=(
            f"vectors are made up, spread {spread}",
            f"HNSW's m is {hnsw.m}, its ef_construction {hnsw.ef_construction}",
            "recall is of the best match, against exact search",
        ),
    )


def made_up(faces: int, *, even: bool = False) -> tuple[Embeddings, Embeddings]:
    """Return (faces, 512) gallery vectors, one a person, and (PROBES, 512) probes, unit length."""
    random = np.random.default_rng(faces)
    if even:
        vectors = _unit(random.standard_normal((faces, EMBEDDING_SIZE), dtype=np.float32))
        known = vectors[random.integers(0, faces, PROBES)]
        noise = _unit(random.standard_normal((PROBES, EMBEDDING_SIZE), dtype=np.float32))
        return vectors, _unit(_COSINE * known + np.sqrt(1 - _COSINE**2).astype(np.float32) * noise)
    spread = np.exp(-np.arange(_DIRECTIONS, dtype=np.float32) / _DECAY / 2)
    turned, _ = np.linalg.qr(random.standard_normal((EMBEDDING_SIZE, _DIRECTIONS)))
    directions = spread[:, None] * turned.T.astype(np.float32)

    def drawn(rows: int, share: float) -> Embeddings:
        at = random.standard_normal((rows, _DIRECTIONS), dtype=np.float32)
        placed: Embeddings = np.float32(share) * at @ directions
        return placed

    people = drawn(faces, np.sqrt(1 - _WITHIN))
    asked = people[random.integers(0, faces, PROBES)]
    people += drawn(faces, np.sqrt(_WITHIN))
    return _unit(people), _unit(asked + drawn(PROBES, np.sqrt(_WITHIN)))


def milliseconds(search: Callable[[Embeddings], object], probes: Embeddings, batch: int) -> float:
    """Return the wall time for each probe, searched in batches, over a second or two."""
    search(probes[:batch])
    searched, started = 0, time.perf_counter()
    while time.perf_counter() - started < _SECONDS:
        first = searched % (len(probes) - batch + 1)
        search(probes[first : first + batch])
        searched += batch
    return 1000 * (time.perf_counter() - started) / searched


def _database(console: Console, hnsw: Hnsw) -> list[Figure]:
    faces = hnsw.faces
    vectors, probes = made_up(faces, even=hnsw.even)
    truth = np.argmax(probes @ vectors.T, axis=1)
    figures: list[Figure] = []
    with postgres() as connections:
        console.print(f"  {faces:,} faces into PostgreSQL")
        with connections() as connection:
            ids = _fill(connection, vectors)

        def search(ef_search: int) -> DatabaseSearch:
            return DatabaseSearch(connections, _MODEL, ef_search)

        def time_of(ef_search: int, name: str) -> Iterator[Figure]:
            for batch in BATCHES:
                yield Figure(
                    name=f"{name}, {faces:,} faces, batch {batch}",
                    value=milliseconds(
                        lambda part: search(ef_search).search("default", "default", part, 4),
                        probes,
                        batch,
                    ),
                    unit="ms/face",
                )

        figures += time_of(EF_SEARCH[0], "database, no index")
        console.print("  building the index")
        started = time.perf_counter()
        with connections() as connection:
            index_collections(connection, faces, m=hnsw.m, ef_construction=hnsw.ef_construction)
            connection.execute("ANALYZE faces")
        figures.append(
            Figure(
                name=f"HNSW, {faces:,} faces, build",
                value=time.perf_counter() - started,
                unit="s",
            )
        )
        for ef_search in EF_SEARCH:
            found = search(ef_search).search("default", "default", probes, 1)
            hits = [
                bool(best) and best[0].face_id == ids[right]
                for best, right in zip(found, truth, strict=True)
            ]
            figures.append(
                Figure(
                    name=f"HNSW ef {ef_search}, {faces:,} faces, recall@1",
                    value=float(np.mean(hits)),
                    unit="",
                    better="higher",
                )
            )
            figures += time_of(ef_search, f"HNSW ef {ef_search}")
    return figures


@contextmanager
def postgres() -> Iterator[KeptConnection]:
    """Run a server for the time of the block."""
    # Not in the user's temporary folder, which the server's account may not enter.
    with tempfile.TemporaryDirectory(prefix="faces-bench-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        (port,) = free_ports(1)
        server = PostgresService(port, folder / "postgres", folder / "log", "benchmark")
        try:
            server.start()
            with psycopg.connect(server.admin_url, autocommit=True) as admin:
                admin.execute("CREATE EXTENSION IF NOT EXISTS vector")
            connections = KeptConnection(server.url)
            with connect(server.url) as connection:
                migrate(connection)
            yield connections
            connections.close()
        finally:
            server.stop()


def _fill(connection: Connection, vectors: Embeddings) -> list[str]:
    """Put people of one face each into the default collection; return the faces' ids."""
    row = connection.execute("SELECT collection_id FROM collections").fetchone()
    assert row is not None
    people, faces = [new_id() for _ in vectors], [new_id() for _ in vectors]
    with connection.cursor() as cursor:
        with cursor.copy("COPY people (person_id, collection_id, name) FROM STDIN") as copy:
            for person in people:
                copy.write_row((person, row[0], "Person"))
        columns = "face_id, person_id, collection_id, embedding, model_tag, enrolled_by"
        with cursor.copy(f"COPY faces ({columns}) FROM STDIN") as copy:
            for face, person, vector in zip(faces, people, vectors, strict=True):
                text = "[" + ",".join(f"{value:.5g}" for value in vector.tolist()) + "]"
                copy.write_row((face, person, row[0], text, _MODEL, face))
    connection.execute("ANALYZE")
    return faces


def _unit(vectors: Embeddings) -> Embeddings:
    unit: Embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def main(arguments: list[str]) -> int:
    """Print the figures of other sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=SUMMARY)
    parser.add_argument("--faces", type=int, nargs="*", default=[], help="exact in memory")
    parser.add_argument("--hnsw", type=int, default=0, help="in the database")
    parser.add_argument("--even", action="store_true", help="people in all directions")
    parser.add_argument("--m", type=int, default=HNSW_M)
    parser.add_argument("--ef-construction", type=int, default=HNSW_EF_CONSTRUCTION)
    chosen = parser.parse_args(arguments)
    console = Console()
    console.print(f"{os.cpu_count()} cores")
    hnsw = Hnsw(chosen.hnsw, chosen.even, chosen.m, chosen.ef_construction)
    for figure in measure(console, chosen.faces, hnsw).figures:
        console.print(f"{figure.name:45} {figure.value:10.3f} {figure.unit}", highlight=False)
    return 0


if __name__ == "__main__":
    end_in_order()
    sys.exit(main(sys.argv[1:]))
