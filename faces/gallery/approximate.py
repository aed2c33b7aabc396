"""Search in the database, for galleries that are too large for a worker's memory. Needs numpy.

pgvector compares with every face of a collection (exact, 0.5 ms a thousand faces) unless
the collection has an HNSW index (Malkov and Yashunin 2016), which is faster and may miss
the nearest. The people who own the nearest faces are then compared by the mean of their
faces, as a worker's copy does.

pgvector filters after it has looked into the index, so that faces of other collections
would use up what it finds; so each large collection has an index of its own, and the rest,
the model tag, is filtered with iterative scans (pgvector 0.8.0, README).
"""

import time
from collections.abc import Callable

from psycopg import sql

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.results import Candidate
from faces.gallery import collections
from faces.gallery.database import Connection, ConnectionSource
from faces.gallery.vectors import Embeddings, encode

HNSW_M, HNSW_EF_CONSTRUCTION = 16, 64
"""How many neighbours a vector of the index has, and how many are looked at to find them."""

INDEX_FROM = 50_000
"""Faces from which a collection is given an index; below, comparing with all is quick."""

_FACES_A_PERSON = 8
"""Nearest faces that are looked at for each person that is asked for."""
_WIDER = 4
_COUNT_SECONDS = 60.0
_MOST_EF_SEARCH = 1000  # pgvector's own limit
_PREFIX = "faces_hnsw_"
_NEAREST = """
    WITH near AS (
        SELECT probe.number, probe.embedding AS probe, person_id, face_id, distance,
               count(*) OVER (PARTITION BY probe.number) AS faces
        FROM unnest(%(probes)s::halfvec(512)[]) WITH ORDINALITY AS probe (embedding, number),
        LATERAL (
            SELECT person_id, face_id, faces.embedding <=> probe.embedding AS distance
            FROM faces
            WHERE collection_id = %(collection_id)s::bigint AND model_tag = %(model_tag)s
            ORDER BY faces.embedding <=> probe.embedding
            LIMIT %(limit)s
        ) AS each
    ), best AS (
        SELECT DISTINCT ON (number, person_id) * FROM near
        ORDER BY number, person_id, distance, face_id
    )
    SELECT number, best.person_id, people.name, 1 - (mean.embedding <=> probe), face_id, faces,
           mean.owned
    FROM best
    JOIN people USING (person_id),
    LATERAL (
        SELECT avg(embedding) AS embedding, count(*) AS owned FROM faces
        WHERE faces.person_id = best.person_id AND model_tag = %(model_tag)s
    ) AS mean
    ORDER BY number, mean.embedding <=> probe, best.person_id
"""


class NearPerson(Candidate):
    """Somebody who is like a probe.

    Attributes
    ----------
    faces : of the person, whose mean the probe was compared with.
    """

    faces: int = 1


class DatabaseSearch:
    """Searches faces of one model tag in PostgreSQL.

    Parameters
    ----------
    ef_search : how far HNSW looks around; larger finds more and takes longer. Of 100,000
        vectors spread evenly over all directions, its hardest case, the nearest was found by
        44 % (40), 66 % (100) and 84 % (200) (`benchmarks/search.py`).
    clock : monotonic seconds.
    """

    def __init__(
        self,
        connections: ConnectionSource,
        model_tag: str,
        ef_search: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._model_tag = model_tag
        self._ef_search = ef_search
        self._clock = clock
        self._sizes: dict[tuple[str, str], tuple[float, int]] = {}

    def count(self) -> int:
        """Return how many faces there are, of all tenants and collections."""
        with self._connections() as connection:
            row = connection.execute(
                "SELECT count(*) FROM faces WHERE model_tag = %s", [self._model_tag]
            ).fetchone()
        return 0 if row is None else int(row[0])

    def count_others(self) -> int:
        """Return how many faces another profile or version made; they are never compared."""
        with self._connections() as connection:
            row = connection.execute(
                "SELECT count(*) FROM faces WHERE model_tag <> %s", [self._model_tag]
            ).fetchone()
        return 0 if row is None else int(row[0])

    def size(self, tenant: str, collection: str) -> int:
        """Return with how many people of a collection a face is compared, or was a minute ago.

        0 for an unknown one.
        """
        scope = (tenant, collection)
        counted_at, people = self._sizes.get(scope, (float("-inf"), 0))
        if self._clock() - counted_at >= _COUNT_SECONDS:
            with self._connections() as connection:
                people = _collection_size(connection, tenant, collection, self._model_tag)
            self._sizes[scope] = (self._clock(), people)
        return people

    def search(
        self, tenant: str, collection: str, probes: Embeddings, count: int
    ) -> list[list[NearPerson]]:
        """Return the `count` most similar people of each probe, best first.

        A person is as similar as the mean of their faces; `face_id` is the nearest of them. An
        unknown collection has nobody.

        Parameters
        ----------
        probes : float32, shape (m, 512), unit length.

        Raises
        ------
        TransientError
            When the database is away.
        """
        if len(probes) == 0:
            return []
        with self._connections() as connection:
            try:
                collection_id = collections.find(connection, tenant, collection)
            except FacesError as error:
                if error.code is not ErrorCode.UNKNOWN_COLLECTION:
                    raise
                return [[] for _ in probes]
            return self._widening(connection, collection_id, probes, count)

    def _widening(
        self, connection: Connection, collection_id: int, probes: Embeddings, count: int
    ) -> list[list[NearPerson]]:
        """Look at more faces until they belong to enough people."""
        limit = _FACES_A_PERSON * count
        while True:
            found, exhausted = self._nearest(connection, collection_id, probes, limit)
            if exhausted or all(len(people) >= count for people in found):
                return [people[:count] for people in found]
            limit *= _WIDER

    def _nearest(
        self, connection: Connection, collection_id: int, probes: Embeddings, limit: int
    ) -> tuple[list[list[NearPerson]], bool]:
        """Return the people of the `limit` nearest faces, and whether there are no more."""
        with connection.transaction():
            connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            ef_search = min(_MOST_EF_SEARCH, max(self._ef_search, limit))
            connection.execute(f"SET LOCAL hnsw.ef_search = {ef_search:d}")
            rows = connection.execute(
                _NEAREST,
                {
                    "probes": [encode(probe) for probe in probes],
                    "collection_id": collection_id,
                    "model_tag": self._model_tag,
                    "limit": limit,
                },
            ).fetchall()
        found: list[list[NearPerson]] = [[] for _ in probes]
        exhausted = True
        for number, person_id, name, similarity, face_id, faces, owned in rows:
            exhausted = exhausted and faces < limit
            found[number - 1].append(
                NearPerson(
                    person_id=str(person_id),
                    name=name,
                    similarity=similarity,
                    face_id=str(face_id),
                    faces=owned,
                )
            )
        return found, exhausted


def index_collections(
    connection: Connection,
    from_faces: int = INDEX_FROM,
    *,
    m: int = HNSW_M,
    ef_construction: int = HNSW_EF_CONSTRUCTION,
) -> list[str]:
    """Give each large collection an HNSW index where it has none; return their names.

    Enrolments go on meanwhile. Indexes that were left unfinished, or whose collection is
    gone, are dropped.

    Parameters
    ----------
    connection : in autocommit mode.
    m, ef_construction : of new indexes; more find more, and take longer to make.
    """
    for name, unfinished in connection.execute(
        """
        SELECT relname, NOT indisvalid
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = 'faces'::regclass AND starts_with(relname, %s)
        """,
        [_PREFIX],
    ).fetchall():
        collection = connection.execute(
            "SELECT 1 FROM collections WHERE collection_id = %s",
            [int(name.removeprefix(_PREFIX))],
        ).fetchone()
        if unfinished or collection is None:
            connection.execute(
                sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name))
            )
    made = []
    for (collection_id,) in connection.execute(
        "SELECT collection_id FROM faces GROUP BY collection_id HAVING count(*) >= %s",
        [from_faces],
    ).fetchall():
        name = f"{_PREFIX}{collection_id}"
        if connection.execute("SELECT to_regclass(%s)", [name]).fetchone() == (None,):
            # Beyond this memory the build is many times slower (100,000 faces need 200 MB).
            connection.execute("SET maintenance_work_mem = '512MB'")
            connection.execute(
                sql.SQL(
                    "CREATE INDEX CONCURRENTLY {} ON faces "
                    "USING hnsw (embedding halfvec_cosine_ops) "
                    "WITH (m = {}, ef_construction = {}) WHERE collection_id = {}::bigint"
                ).format(
                    sql.Identifier(name),
                    sql.Literal(m),
                    sql.Literal(ef_construction),
                    sql.Literal(collection_id),
                )
            )
            connection.execute("RESET maintenance_work_mem")
            made.append(name)
    return made


def _collection_size(connection: Connection, tenant: str, collection: str, model_tag: str) -> int:
    row = connection.execute(
        """
        SELECT count(*) FROM (
            SELECT DISTINCT person_id FROM faces JOIN collections USING (collection_id)
            WHERE tenant = %s AND collections.name = %s AND model_tag = %s
        ) AS people
        """,
        [tenant, collection, model_tag],
    ).fetchone()
    return 0 if row is None else int(row[0])
