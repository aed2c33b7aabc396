"""The sweep: what is over goes, what is not stays."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from chalice_app.sweep import Sweep
from faces.cache.cache import Question
from faces.contracts.collections import CollectionSettings, Retention
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.jobs import JobRequest
from faces.contracts.names import ATTEMPT_PREFIX, attempt_key, result_key, upload_key
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from tests.fixtures.gallery import unmatched, vector
from tests.unit.chalice_app.fakes import FakeContext

HOUR, DAY = 3600, 86_400


@pytest.fixture
def context(database_url: str) -> Iterator[FakeContext]:
    made = FakeContext()
    connections = KeptConnection(database_url)
    made.gallery = Gallery(connections, made.clock)
    yield made
    connections.close()


def sweep(context: FakeContext) -> Sweep:
    return Sweep(
        context.objects, context.results, context.gallery, context.settings.names, context.clock
    )


def photos(context: FakeContext) -> list[str]:
    return context.objects.keys(context.settings.names.in_bucket)


def results(context: FakeContext) -> list[str]:
    return context.objects.keys(context.settings.names.out_bucket)


def answered(context: FakeContext, collection: str = "default") -> str:
    request = JobRequest(collection=collection)
    job_id = context.upload(b"photo", request)
    context.results.fail(job_id, request, FacesError(ErrorCode.NO_FACE))
    return job_id


def test_photos_go_after_a_day_and_results_after_a_week(context: FakeContext) -> None:
    job_id = answered(context)
    context.clock.move(DAY - 1)
    assert sweep(context).run().photos == 0
    assert photos(context) == [upload_key(job_id)]
    context.clock.move(1)
    young = answered(context)
    assert sweep(context).run().photos == 1
    assert photos(context) == [upload_key(young)]
    assert results(context) == sorted([result_key(job_id), result_key(young)])
    context.clock.move(6 * DAY)
    assert sweep(context).run().results == 1
    assert results(context) == [result_key(young)]


def test_records_of_attempts_go_with_the_photo(context: FakeContext) -> None:
    out = context.settings.names.out_bucket
    old = context.upload(b"photo")
    context.clock.move(HOUR)
    young = context.upload(b"photo")
    kept = [attempt_key(young, "m-2")]
    for key in (attempt_key(old, "m-2"), attempt_key(old, "m-3"), *kept):
        context.objects.add(out, key, b"", {})
    context.clock.move(DAY - HOUR)
    assert sweep(context).run().photos == 1
    assert [key for key in results(context) if key.startswith(ATTEMPT_PREFIX)] == kept


def test_each_collection_has_its_own_times(context: FakeContext) -> None:
    short = CollectionSettings(retention=Retention(photos_seconds=HOUR, results_seconds=2 * HOUR))
    long = CollectionSettings(retention=Retention(photos_seconds=7 * DAY))
    context.gallery.create_collection("default", "short", short)
    context.gallery.create_collection("default", "long", long)
    answered(context, "short")
    usual, kept = answered(context), answered(context, "long")
    context.clock.move(HOUR)
    assert sweep(context).run().photos == 1
    context.clock.move(HOUR)
    assert sweep(context).run().results == 1
    assert photos(context) == sorted([upload_key(usual), upload_key(kept)])
    context.clock.move(DAY)
    sweep(context).run()
    assert photos(context) == [upload_key(kept)]
    context.clock.move(7 * DAY)
    sweep(context).run()
    assert photos(context) == []


def test_a_time_that_was_made_shorter_counts_for_what_is_there(context: FakeContext) -> None:
    answered(context)
    context.clock.move(12 * HOUR)
    assert sweep(context).run().photos == 0
    shorter = CollectionSettings(retention=Retention(photos_seconds=HOUR))
    context.gallery.change_collection("default", "default", shorter)
    assert sweep(context).run().photos == 1


def test_a_time_that_is_made_shorter_during_the_first_sweep_counts(context: FakeContext) -> None:
    answered(context)
    context.clock.move(12 * HOUR)
    shorter = CollectionSettings(retention=Retention(photos_seconds=HOUR))
    read = context.gallery.retentions

    def read_then_change() -> object:
        kept = read()
        context.gallery.change_collection("default", "default", shorter)
        return kept

    context.gallery.retentions = read_then_change
    assert sweep(context).run().photos == 0
    context.gallery.retentions = read
    assert sweep(context).run().photos == 1


def test_a_collection_that_is_made_after_its_photos_counts(context: FakeContext) -> None:
    answered(context, "late")
    context.clock.move(2 * HOUR)
    assert sweep(context).run().photos == 0
    short = CollectionSettings(retention=Retention(photos_seconds=HOUR))
    context.gallery.create_collection("default", "late", short)
    assert sweep(context).run().photos == 1


def test_a_job_whose_photo_goes_unanswered_ends(context: FakeContext) -> None:
    job_id = context.upload(b"photo")
    context.clock.move(DAY)
    assert sweep(context).run().photos == 1
    result = context.results.read(job_id)
    assert result is not None
    assert result.error is not None
    assert result.error.code is ErrorCode.WORKER_GAVE_UP


def test_a_job_whose_result_went_first_does_not_end_again(context: FakeContext) -> None:
    short = CollectionSettings(retention=Retention(results_seconds=HOUR))
    context.gallery.create_collection("default", "short", short)
    answered(context, "short")
    announced = len(context.queues.sent)
    for _ in range(25):
        context.clock.move(HOUR)
        sweep(context).run()
    assert (photos(context), results(context)) == ([], [])
    assert len(context.queues.sent) == announced


def test_a_result_goes_from_the_cache_too(context: FakeContext) -> None:
    job_id = answered(context)
    context.cache.ask(job_id, Question("asked", "1"))
    context.cache.keep_answer(Question("asked", "1"), "workers", b"{}")
    context.cache.work_as("workers")
    assert context.results.read(job_id) is not None
    assert context.cache.answer("asked") is not None
    context.clock.move(7 * DAY)
    sweep(context).run()
    assert context.results.read(job_id) is None
    assert context.cache.answer("asked") is None


def test_a_collection_that_is_gone_keeps_nothing_for_longer(context: FakeContext) -> None:
    long = CollectionSettings(retention=Retention(photos_seconds=7 * DAY, results_seconds=30 * DAY))
    context.gallery.create_collection("default", "long", long)
    answered(context, "long")
    context.clock.move(7 * DAY - 1)
    sweep(context).run()
    context.gallery.delete_collection("default", "long")
    context.clock.move(1)
    sweep(context).run()
    assert (photos(context), results(context)) == ([], [])


def test_vectors_of_unknown_faces_go(context: FakeContext) -> None:
    face = unmatched(vector(1), expires_at=context.clock() + timedelta(minutes=10))
    context.gallery.remember_unmatched([face])
    assert sweep(context).run().unmatched_faces == 0
    context.clock.move(600)
    assert sweep(context).run().unmatched_faces == 1


def test_photos_that_could_not_be_deleted_with_their_person_go(context: FakeContext) -> None:
    job_id = context.upload(b"photo")
    face = unmatched(vector(1), expires_at=context.clock() + timedelta(minutes=10))
    context.gallery.remember_unmatched([face])
    with context.gallery._connections() as connection:
        connection.execute("UPDATE unmatched_faces SET job_id = %s", [job_id])
        connection.execute("INSERT INTO photo_deletions VALUES (%s, now())", [job_id])
    assert sweep(context).run().photos == 1
    assert photos(context) == []
    assert context.gallery.photos_to_delete(9) == []


def test_what_was_looked_at_is_not_looked_at_again(context: FakeContext) -> None:
    context.gallery.create_collection(
        "default", "long", CollectionSettings(retention=Retention(photos_seconds=7 * DAY))
    )
    answered(context, "long")
    looked: list[str] = []
    head = context.objects.head
    context.objects.head = lambda bucket, key: (looked.append(key), head(bucket, key))[1]  # type: ignore[method-assign,func-returns-value]
    context.clock.move(DAY)
    for _ in range(3):
        sweep(context).run()
        context.clock.move(300)
    assert len(looked) == 1
