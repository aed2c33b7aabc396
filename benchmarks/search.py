"""Search: exact in the worker's memory, and by the database's HNSW index.

    python -m benchmarks search                   # 10,000 and 100,000 faces
    python -m benchmarks.search --faces 1000000   # exact in memory only, 4 GB
    python -m benchmarks.search --hnsw 20000      # a smaller index, which is made sooner

Vectors are made up: people spread evenly over all 512 directions, and probes whose cosine to
their person's face is 0.7. That is the hardest case for HNSW; its recall on vectors of real
faces is not measured here.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import psycopg
from rich.console import Console

from benchmarks.result import Figure, Outcome
from faces.contracts.ids import new_id
from faces.gallery.approximate import DatabaseSearch, index_collections
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
EF_SEARCH = (40, 100, 200)
BATCHES = (1, 32)
PROBES = 192

_MODEL = "benchmark/1"
_COSINE = 0.7
_SECONDS = 2.0


def run(console: Console) -> Outcome:
    """Measure with the default sizes."""
    return measure(console, FACES, HNSW_FACES)


def measure(console: Console, sizes: Sequence[int], hnsw_faces: int) -> Outcome:
    """Measure in memory at `sizes`, and in the database at `hnsw_faces` (0 for not at all)."""
    figures: list[Figure] = []
    for faces in sizes:
        console.print(f"  {faces:,} faces in memory")
        vectors, probes = made_up(faces)
        index = CollectionIndex()
        for number, vector in enumerate(vectors):
            index.put(f"f{number}", f"p{number}", vector)
        search = partial(index.search, count=4)
        figures += [
            Figure(
                name=f"exact, {faces:,} faces, batch {batch}",
                value=milliseconds(search, probes, batch),
                unit="ms/face",
            )
            for batch in BATCHES
        ]
    if hnsw_faces:
        figures += _database(console, hnsw_faces)
    return Outcome(
        benchmark=NAME,
        figures=tuple(figures),
        samples={figure.name: (figure.value,) for figure in figures if figure.unit == "ms/face"},
        sample_unit="ms/face",
        notes=(
            "vectors are made up and evenly spread, which is HNSW's hardest case",
            "recall is of the best match, against exact search",
        ),
    )


def made_up(faces: int) -> tuple[Embeddings, Embeddings]:
    """Return (faces, 512) gallery vectors and (PROBES, 512) probes, all of unit length."""
    random = np.random.default_rng(faces)
    vectors = _unit(random.standard_normal((faces, EMBEDDING_SIZE), dtype=np.float32))
    known = vectors[random.integers(0, faces, PROBES)]
    noise = _unit(random.standard_normal((PROBES, EMBEDDING_SIZE), dtype=np.float32))
    return vectors, _unit(_COSINE * known + np.sqrt(1 - _COSINE**2).astype(np.float32) * noise)


def milliseconds(search: Callable[[Embeddings], object], probes: Embeddings, batch: int) -> float:
    """Return the wall time for each probe, searched in batches, over a second or two."""
    search(probes[:batch])
    searched, started = 0, time.perf_counter()
    while time.perf_counter() - started < _SECONDS:
        first = searched % (len(probes) - batch + 1)
        search(probes[first : first + batch])
        searched += batch
    return 1000 * (time.perf_counter() - started) / searched


def _database(console: Console, faces: int) -> list[Figure]:
    vectors, probes = made_up(faces)
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
            index_collections(connection, faces)
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
        server.start()
        try:
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
    chosen = parser.parse_args(arguments)
    console = Console()
    console.print(f"{os.cpu_count()} cores")
    for figure in measure(console, chosen.faces, chosen.hnsw).figures:
        console.print(f"{figure.name:45} {figure.value:10.3f} {figure.unit}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
