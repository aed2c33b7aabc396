"""Search in the database: exact without an index, and right with one."""

from collections.abc import Iterator

import numpy as np
import pytest

from faces.contracts.ids import new_id
from faces.gallery.approximate import DatabaseSearch, index_collections
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from faces.gallery.vectors import Embeddings
from gpu_worker.index import GalleryIndex
from tests.fixtures.gallery import MODEL, enroll, vector

FACES = 4000


@pytest.fixture
def connections(database_url: str) -> Iterator[KeptConnection]:
    connections = KeptConnection(database_url)
    yield connections
    connections.close()


def fill(connections: KeptConnection, collection: str, faces: int, seed: int) -> Embeddings:
    """Put people of one face each into a collection; return their vectors."""
    vectors = np.random.default_rng(seed).standard_normal((faces, 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = [new_id() for _ in range(faces)]
    with connections() as connection:
        connection.execute(
            "INSERT INTO collections (tenant, name) VALUES ('default', %s) ON CONFLICT DO NOTHING",
            [collection],
        )
        row = connection.execute(
            "SELECT collection_id FROM collections WHERE tenant = 'default' AND name = %s",
            [collection],
        ).fetchone()
        assert row is not None
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO people (person_id, collection_id, name) VALUES (%s, %s, %s)",
                [(person, row[0], f"Person {number}") for number, person in enumerate(people)],
            )
            cursor.executemany(
                "INSERT INTO faces (face_id, person_id, collection_id, embedding, model_tag, "
                "enrolled_by) VALUES (%s, %s, %s, %s::halfvec, %s, %s)",
                [
                    (new_id(), person, row[0], str(each.tolist()), MODEL, new_id())
                    for person, each in zip(people, vectors, strict=True)
                ],
            )
    return vectors


def plan_of(connections: KeptConnection, collection: str) -> str:
    """Return how PostgreSQL finds the nearest face of a collection."""
    with connections() as connection:
        row = connection.execute(
            "SELECT collection_id FROM collections WHERE name = %s", [collection]
        ).fetchone()
        assert row is not None
        lines = connection.execute(
            "EXPLAIN SELECT face_id FROM faces WHERE collection_id = %s::bigint AND model_tag = %s "
            "ORDER BY embedding <=> %s::halfvec LIMIT 4",
            [row[0], MODEL, str(vector(1).tolist())],
        ).fetchall()
    return "\n".join(line for (line,) in lines)


def test_finds_each_face_with_and_without_an_index(connections: KeptConnection) -> None:
    large, small = fill(connections, "large", FACES, 1), fill(connections, "small", 20, 2)
    search = DatabaseSearch(connections, MODEL, ef_search=200)
    before = search.search("default", "large", large[:50], 3)
    [name] = _index(connections)
    assert name.startswith("faces_hnsw_")
    assert _index(connections) == [], "one is enough"
    with connections() as connection:
        connection.execute("ANALYZE faces")
    assert "faces_hnsw_" in plan_of(connections, "large")
    assert "faces_hnsw_" not in plan_of(connections, "small")

    after = search.search("default", "large", large[:50], 3)
    assert [found[0].face_id for found in after] == [found[0].face_id for found in before]
    for number, found in enumerate(after):
        assert found[0].name == f"Person {number}"
        assert found[0].similarity == pytest.approx(1, abs=1e-3)
        assert len({each.person_id for each in found}) == 3
        assert sorted(found, key=lambda each: -each.similarity) == found
    # The collections do not take places from each other.
    for number, found in enumerate(search.search("default", "small", small, 20)):
        assert len(found) == 20
        assert found[0].name == f"Person {number}"


def _index(connections: KeptConnection) -> list[str]:
    with connections() as connection:
        return index_collections(connection, FACES)


def test_the_index_goes_with_its_collection(connections: KeptConnection, gallery: Gallery) -> None:
    fill(connections, "large", FACES, 1)
    assert len(_index(connections)) == 1
    with connections() as connection:
        connection.execute("DELETE FROM collections WHERE name = 'large'")
    assert _index(connections) == []
    with connections() as connection:
        left = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relname LIKE 'faces_hnsw%'"
        ).fetchone()
    assert left == (0,)


def test_many_faces_of_one_person_do_not_hide_others(
    connections: KeptConnection, gallery: Gallery
) -> None:
    crowd = enroll(gallery, NewPerson(name="Crowd"), vector(1, near=0)).person_id
    for seed in range(2, 40):
        enroll(gallery, crowd, vector(seed, near=0))
    other = enroll(gallery, NewPerson(name="Other"), vector(99)).person_id
    search = DatabaseSearch(connections, MODEL, ef_search=40)
    [found] = search.search("default", "default", vector(0)[np.newaxis], 2)
    assert [each.person_id for each in found] == [crowd, other]


def test_people_are_compared_by_the_mean_of_their_faces(
    connections: KeptConnection, gallery: Gallery
) -> None:
    """As a worker's own copy does; so answers do not change where the database takes over."""
    for person in range(8):
        owner: NewPerson | str = NewPerson(name=f"Person {person}")
        for face in range(1 + person % 3):
            vectors = vector(100 * person + face + 1, near=person % 4)
            owner = enroll(gallery, owner, vectors).person_id
    copy = GalleryIndex(gallery, MODEL)
    copy.follow()
    probes = np.stack([vector(1000 + number, near=number % 4) for number in range(6)])
    exact = copy.search("default", "default", probes, 3)
    found = DatabaseSearch(connections, MODEL, ef_search=40).search("default", "default", probes, 3)
    for hits, candidates in zip(exact, found, strict=True):
        assert [each.person_id for each in candidates] == [hit.person_id for hit in hits]
        assert [each.face_id for each in candidates] == [hit.face_id for hit in hits]
        assert [each.faces for each in candidates] == [hit.faces for hit in hits]
        assert [each.similarity for each in candidates] == pytest.approx(
            [hit.similarity for hit in hits], abs=2e-3
        )


def test_counts(connections: KeptConnection, gallery: Gallery) -> None:
    now = [0.0]
    search = DatabaseSearch(connections, MODEL, ef_search=40, clock=lambda: now[0])
    assert (search.count(), search.size("default", "default")) == (0, 0)
    ann = enroll(gallery, NewPerson(name="Ann"), vector(1)).person_id
    enroll(gallery, ann, vector(3, near=1))
    enroll(gallery, NewPerson(name="Bob"), vector(2), model_tag="other/1")
    assert (search.count(), search.count_others()) == (2, 1)
    assert search.size("default", "default") == 0, "as of a minute ago at most"
    now[0] = 61
    copy = GalleryIndex(gallery, MODEL)
    copy.follow()
    assert search.size("default", "default") == copy.size("default", "default") == 1, "people"


def test_an_unknown_collection_has_nobody(connections: KeptConnection) -> None:
    search = DatabaseSearch(connections, MODEL, ef_search=40)
    assert search.search("default", "nowhere", vector(1)[np.newaxis], 3) == [[]]
    assert search.search("default", "default", np.empty((0, 512), np.float32), 3) == []
    assert search.size("default", "nowhere") == 0
