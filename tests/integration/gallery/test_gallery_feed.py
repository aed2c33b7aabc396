"""A follower of the change feed ends up with what is true, whatever happens meanwhile."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faces.contracts.errors import FacesError, TransientError
from faces.contracts.ids import new_id
from faces.gallery import feed
from faces.gallery.database import KeptConnection, connect
from faces.gallery.gallery import Gallery
from faces.gallery.records import NewPerson
from faces.gallery.vectors import GalleryFace, Halves
from tests.fixtures.gallery import HERE, MODEL, enroll, unmatched, vector


@dataclass
class Follower:
    """What a worker does, in the plainest way."""

    gallery: Gallery
    position: int = 0
    faces: dict[str, tuple[GalleryFace, Halves]] = field(default_factory=dict)
    loads: int = 0

    def load(self) -> None:
        snapshot = self.gallery.load(MODEL)
        self.loads += 1
        self.position = snapshot.position
        self.faces = {
            face.face_id: (face, row)
            for face, row in zip(snapshot.faces, snapshot.embeddings, strict=True)
        }

    def follow(self) -> None:
        changes = self.gallery.changes_since(self.position, MODEL)
        if changes is None:
            self.load()
            return
        self.position = changes.position
        for face, row in zip(changes.faces, changes.embeddings, strict=True):
            self.faces[face.face_id] = (face, row)
        for face_id in changes.removed:
            self.faces.pop(face_id, None)
        for face_id, (face, row) in self.faces.items():
            if face.person_id in changes.renamed:
                name = changes.renamed[face.person_id]
                renamed = GalleryFace(
                    face.face_id, face.person_id, name, face.tenant, face.collection
                )
                self.faces[face_id] = (renamed, row)

    def check(self) -> None:
        """Assert that nothing differs from a copy that is loaded now."""
        fresh = Follower(self.gallery)
        fresh.load()
        assert self.position == fresh.position
        assert {id_: face for id_, (face, _) in self.faces.items()} == {
            id_: face for id_, (face, _) in fresh.faces.items()
        }
        for face_id, (_, row) in self.faces.items():
            np.testing.assert_array_equal(row, fresh.faces[face_id][1])


@pytest.fixture
def follower(gallery: Gallery) -> Follower:
    made = Follower(gallery)
    made.load()
    return made


def test_an_answered_enrolment_is_seen_at_once(gallery: Gallery, follower: Follower) -> None:
    by_job = enroll(gallery, NewPerson(name="Ada"), vector(1))
    face = unmatched(vector(2))
    gallery.remember_unmatched([face])
    by_req_id = gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=by_job.person_id)

    follower.follow()

    assert set(follower.faces) == {by_job.face_id, by_req_id.face_id}
    assert follower.faces[by_job.face_id][0].name == "Ada"
    assert follower.faces[by_req_id.face_id][1] @ vector(2) == pytest.approx(1, abs=1e-5)
    follower.check()


def test_nothing_new_is_nothing_to_do(gallery: Gallery, follower: Follower) -> None:
    enroll(gallery, NewPerson(name="Ada"), vector(1))
    follower.follow()
    changes = gallery.changes_since(follower.position, MODEL)
    assert changes is not None
    assert (changes.position, changes.faces) == (follower.position, [])
    assert changes.embeddings.shape == (0, 512)
    assert not changes.removed
    assert not changes.renamed


def test_a_deleted_person_leaves_the_copy(gallery: Gallery, follower: Follower) -> None:
    ada = enroll(gallery, NewPerson(name="Ada"), vector(1))
    follower.follow()
    gallery.delete_person(**HERE, person_id=ada.person_id)
    follower.follow()
    assert not follower.faces
    follower.check()


def test_a_face_that_came_and_went_is_only_removed(gallery: Gallery, follower: Follower) -> None:
    ada = enroll(gallery, NewPerson(name="Ada"), vector(1))
    gallery.delete_person(**HERE, person_id=ada.person_id)
    changes = gallery.changes_since(follower.position, MODEL)
    assert changes is not None
    assert not changes.faces
    assert changes.removed == {ada.face_id}


def test_faces_of_another_model_stay_out(gallery: Gallery, follower: Follower) -> None:
    enroll(gallery, NewPerson(name="Ada"), vector(1), model_tag="another/1")
    follower.follow()
    assert not follower.faces
    follower.check()


def test_a_refused_enrolment_leaves_no_trace(gallery: Gallery, follower: Follower) -> None:
    enroll(gallery, NewPerson(name="Ada", email="a@b"), vector(1))
    follower.follow()
    with pytest.raises(FacesError):
        enroll(gallery, NewPerson(name="Eve", email="a@b"), vector(2))
    follower.follow()
    follower.check()


def test_who_is_too_far_behind_loads_anew(gallery: Gallery, follower: Follower) -> None:
    late = Follower(gallery)
    late.load()
    enroll(gallery, NewPerson(name="Ada"), vector(1))
    follower.follow()

    purged = gallery.purge_expired(datetime.now(UTC) + timedelta(days=2))

    assert purged.changes == 1
    assert gallery.changes_since(late.position, MODEL) is None
    late.follow()
    assert late.loads == 2
    late.check()
    # Who was up to date goes on, also after all rows are gone.
    enroll(gallery, NewPerson(name="Bob"), vector(2))
    follower.follow()
    assert follower.loads == 1
    follower.check()


def test_recent_rows_of_the_feed_are_kept(gallery: Gallery, follower: Follower) -> None:
    enroll(gallery, NewPerson(name="Ada"), vector(1))
    assert gallery.purge_expired(datetime.now(UTC) + timedelta(hours=23)).changes == 0
    follower.follow()
    assert follower.loads == 1


@pytest.mark.parametrize("position", [-1, 1, 10**9])
def test_a_position_of_no_feed_of_ours(gallery: Gallery, position: int) -> None:
    assert gallery.changes_since(position, MODEL) is None


def test_loading_in_chunks_gives_every_face(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_CHUNK_ROWS", 3)
    enrolled = {enroll(gallery, NewPerson(name="x"), vector(i)).face_id: i for i in range(8)}
    snapshot = gallery.load(MODEL)
    assert {face.face_id for face in snapshot.faces} == set(enrolled)
    for face, row in zip(snapshot.faces, snapshot.embeddings, strict=True):
        assert row @ vector(enrolled[face.face_id]) == pytest.approx(1, abs=1e-3)


def test_a_slow_writer_holds_back_the_next_one(database_url: str, follower: Follower) -> None:
    """The case that positions alone get wrong: the earlier position commits later."""
    gallery = follower.gallery
    started, finish = threading.Event(), threading.Event()

    def slow() -> None:
        with connect(database_url) as connection, connection.transaction():
            connection.execute("SELECT lock_feed()")
            connection.execute(
                "INSERT INTO changes (face_id) VALUES (%s)", [new_id()]
            )  # takes the lower position
            started.set()
            assert finish.wait(30)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(slow)
        assert started.wait(30)
        quick = pool.submit(enroll, gallery, NewPerson(name="Ada"), vector(1))
        observer = KeptConnection(database_url)
        with observer() as connection:
            while not _waits_for_the_feed(connection):
                assert not quick.done()
        changes = Gallery(observer).changes_since(follower.position, MODEL)
        assert changes is not None
        assert changes.position == follower.position
        observer.close()
        finish.set()
        first.result()
        face_id = quick.result().face_id
    follower.follow()
    assert face_id in follower.faces


def test_who_waits_too_long_for_the_feed_may_try_again(gallery: Gallery, database_url: str) -> None:
    job_id = new_id()
    with connect(database_url) as holder, holder.transaction():
        holder.execute("SELECT lock_feed()")
        with pytest.raises(TransientError):
            enroll(gallery, NewPerson(name="Ada"), vector(1), job_id=job_id)
    enroll(gallery, NewPerson(name="Ada"), vector(1), job_id=job_id)
    assert len(gallery.list_people(**HERE).people) == 1


def test_a_client_that_vanished_does_not_hold_the_feed(database_url: str) -> None:
    limit = "SELECT current_setting('idle_in_transaction_session_timeout')"
    with connect(database_url) as connection:
        with connection.transaction():
            connection.execute("SELECT lock_feed()")
            assert connection.execute(limit).fetchone() == ("10s",)
        assert connection.execute(limit).fetchone() == ("0",)


def _waits_for_the_feed(connection: "psycopg.Connection[tuple[object, ...]]") -> bool:
    query = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return bool(connection.execute(query).rowcount)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_change_is_lost_among_many_writers(
    new_database: Callable[..., str], gallery_template: str, seed: int
) -> None:
    url = new_database(gallery_template)
    stop = threading.Event()

    def write(number: int) -> set[str]:
        """Enrol and delete at random; return the faces that must be there in the end."""
        random = Random(seed + number)
        connections = KeptConnection(url)
        gallery = Gallery(connections)
        mine: dict[str, list[str]] = {}
        for step in range(12):
            choice = random.random()
            if choice < 0.5 or not mine:
                before = gallery.load(MODEL).position
                made = enroll(gallery, NewPerson(name=f"{number}-{step}"), vector(step))
                mine[made.person_id] = [made.face_id]
                changes = gallery.changes_since(before, MODEL)
                assert changes is not None
                assert made.face_id in {face.face_id for face in changes.faces}
            elif choice < 0.8:
                # Like nobody: unknown faces that look like somebody go with that person.
                other = vector(100 * (number + 1) + step)
                face = unmatched(other, expires_at=datetime.now(UTC) + timedelta(days=1))
                gallery.remember_unmatched([face])
                person_id = random.choice(list(mine))
                added = gallery.enroll_unmatched(**HERE, req_id=face.req_id, person=person_id)
                mine[person_id].append(added.face_id)
            else:
                person_id = random.choice(list(mine))
                deleted = gallery.delete_person(**HERE, person_id=person_id)
                assert deleted.faces == len(mine.pop(person_id))
        connections.close()
        return {face_id for faces in mine.values() for face_id in faces}

    following = KeptConnection(url)
    follower = Follower(Gallery(following))
    follower.load()

    def follow() -> int:
        rounds = 0
        while not stop.is_set():
            follower.follow()
            rounds += 1
        return rounds

    with ThreadPoolExecutor(5) as pool:
        reading = pool.submit(follow)
        try:
            expected = set().union(*pool.map(write, range(4)))
        finally:
            stop.set()
        assert reading.result() > 1
    follower.follow()
    assert follower.loads == 1
    assert set(follower.faces) == expected
    follower.check()
    following.close()
