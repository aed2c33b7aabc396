"""A deleted person is not recognised again, whatever a worker knew before."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from faces.contracts.results import JobResult, Match
from faces.gallery.database import KeptConnection
from faces.gallery.enrolment import Guard
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from gpu_worker.fence import FencedResults
from gpu_worker.index import GalleryIndex
from tests.fixtures.gallery import HERE, MODEL, enroll, vector
from tests.fixtures.worker_fakes import FakeResults
from tests.unit.gpu_worker.test_worker_fence import result

WAIT = 10


def always(gallery: Gallery) -> Callable[[], Gallery]:
    return lambda: gallery


class Workers:
    """Galleries with a connection each, as processes have them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stack = ExitStack()

    def gallery(self) -> Gallery:
        connections = KeptConnection(self.url)
        self.stack.callback(connections.close)
        return Gallery(connections)


@pytest.fixture
def workers(database_url: str) -> Workers:
    return Workers(database_url)


def recognised(index: GalleryIndex, seed: int) -> JobResult:
    """Return the result that a worker would make of what its index holds."""
    [[hit, *_]] = index.search(HERE["tenant"], HERE["collection"], vector(seed)[None], 1)
    made = result(1)
    match = Match(
        person_id=hit.person_id,
        name=index.names[hit.person_id],
        similarity=hit.similarity,
        face_id=hit.face_id,
        threshold=0.5,
    )
    return made.model_copy(update={"faces": (made.faces[0].model_copy(update={"match": match}),)})


def test_workers_that_loaded_the_gallery_before_the_deletion(workers: Workers) -> None:
    api = workers.gallery()
    ann = enroll(api, NewPerson(name="Ann"), vector(1))
    made = []
    for _ in range(2):
        worker = workers.gallery()
        index = GalleryIndex(worker, MODEL)
        index.follow()
        store = FakeResults()
        made.append((recognised(index, 1), FencedResults(store, always(worker))))
    api.delete_person(**HERE, person_id=ann.person_id)
    for answer, fenced in made:
        [face] = fenced.store(answer).faces
        assert face.match is None
    workers.stack.close()


def test_a_deletion_is_answered_after_what_is_being_published(workers: Workers) -> None:
    api, worker = workers.gallery(), workers.gallery()
    ann = enroll(api, NewPerson(name="Ann"), vector(1))
    index = GalleryIndex(worker, MODEL)
    index.follow()
    publishing, go_on = threading.Event(), threading.Event()

    def before_store() -> None:
        publishing.set()
        assert go_on.wait(WAIT)

    fenced = FencedResults(FakeResults(before_store=before_store), lambda: worker)
    with ThreadPoolExecutor(2) as pool:
        published = pool.submit(fenced.store, recognised(index, 1))
        assert publishing.wait(WAIT)
        deleted = pool.submit(api.delete_person, **HERE, person_id=ann.person_id)
        # The deletion waits in the database for the row that the worker holds.
        watcher = workers.gallery()
        while not _blocked(watcher):
            assert not deleted.done()
        go_on.set()
        assert published.result(WAIT).faces[0].match is not None
        assert deleted.result(WAIT).faces == 1
    with pytest.raises(FacesError) as error:
        api.get_person(**HERE, person_id=ann.person_id)
    assert error.value.code is ErrorCode.UNKNOWN_PERSON
    assert (
        FencedResults(FakeResults(), lambda: worker).store(recognised(index, 1)).faces[0].match
        is None
    )
    workers.stack.close()


def test_a_refusal_does_not_say_that_a_face_is_like_who_is_gone(workers: Workers) -> None:
    api = workers.gallery()
    ann = enroll(api, NewPerson(name=f"Ann ({new_id()}) looks like this"), vector(1))
    with pytest.raises(FacesError) as error:
        api.enroll_face(
            job_id=new_id(),
            **HERE,
            person=NewPerson(name="Bob"),
            embedding=vector(2, near=1),
            model_tag=MODEL,
            guard=Guard(threshold=0.65),
        )
    refused = result(None).model_copy(
        update={"kind": "enroll", "state": "failed", "faces": (), "error": error.value.info()}
    )
    assert FencedResults(FakeResults(), lambda: api).store(refused) is refused
    api.delete_person(**HERE, person_id=ann.person_id)
    stored = FencedResults(FakeResults(), lambda: api).store(refused)
    assert stored.error is not None
    assert stored.error.code is ErrorCode.LOOKS_LIKE_ANOTHER
    assert ann.name not in stored.model_dump_json()
    assert ann.person_id not in stored.model_dump_json()
    workers.stack.close()


def _blocked(gallery: Gallery) -> bool:
    with gallery._connections() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
        ).fetchone()
    return row is not None and row[0] > 0
