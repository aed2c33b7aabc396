"""What the worker tells the cache."""

from datetime import UTC, datetime
from typing import Literal

from faces.cache.cache import Answer, Question
from faces.contracts.ids import new_id
from faces.contracts.results import JobResult, ModelInfo
from faces.contracts.worker_settings import WorkerSettings
from gpu_worker.remembering import CachedResults, fingerprint, fingerprint_of
from tests.fixtures.cache import MemoryCache

MODEL = ModelInfo(name="net", crop="v1")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Store:
    """A `ResultStore` in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, JobResult] = {}

    def stored(self, job_id: str) -> JobResult | None:
        return self.kept.get(job_id)

    def store(self, result: JobResult) -> JobResult:
        return self.kept.setdefault(result.job_id, result)


def result(job_id: str, state: Literal["succeeded", "failed"] = "succeeded") -> JobResult:
    return JobResult(
        job_id=job_id,
        kind="identify",
        tenant="default",
        collection="default",
        state=state,
        code_version="1",
        submitted_at=NOW,
        finished_at=NOW,
    )


def made() -> tuple[CachedResults, Store, MemoryCache]:
    store, cache = Store(), MemoryCache()
    return CachedResults(store, cache, "me"), store, cache


def test_a_result_is_written_before_it_is_cached() -> None:
    results, store, cache = made()
    job = new_id()
    assert results.store(result(job)) is store.kept[job]
    assert JobResult.model_validate_json(cache.results[job]) == store.kept[job]
    assert results.stored(job) is store.kept[job]


def test_what_counts_is_cached_not_what_came_late() -> None:
    results, store, cache = made()
    job = new_id()
    store.kept[job] = result(job, "failed")
    cache.ask(job, Question("key", "1:1"))
    assert results.store(result(job)).state == "failed"
    assert JobResult.model_validate_json(cache.results[job]).state == "failed"
    assert not cache.answers


def test_an_answer_is_kept_where_its_question_is_known() -> None:
    results, _, cache = made()
    job = new_id()
    cache.ask(job, Question("key", "1:1"))
    results.store(result(job))
    results.store(result(new_id()))
    assert cache.answers == {"key": ("me", Answer("1:1", cache.results[job]))}


def test_a_failure_is_never_repeated() -> None:
    results, _, cache = made()
    job = new_id()
    cache.ask(job, Question("key", "1:1"))
    results.store(result(job, "failed"))
    assert not cache.answers


def test_fingerprints_differ_with_what_answers_depend_on() -> None:
    other = ModelInfo(name="net", crop="v2")
    made = {
        fingerprint(MODEL, rate=0.01),
        fingerprint(MODEL, rate=0.1),
        fingerprint(other, rate=0.01),
        fingerprint(MODEL, rate=0.01, detection="fast"),
    }
    assert len(made) == 4
    assert all("\n" not in each for each in made)


def test_answers_depend_on_rates_and_detection() -> None:
    def mark(name: str = "WORKER_ID", value: str = "local") -> str:
        needed = {"DATABASE_URL": "postgresql://localhost/x"}
        return fingerprint_of(MODEL, WorkerSettings.load({**needed, name: value}))

    made = {
        mark(),
        mark("FACES_FALSE_ACCEPT_RATE", "0.2"),
        mark("FACES_VERIFY_FALSE_ACCEPT_RATE", "0.2"),
        mark("WORKER_DETECTION", "fast"),
    }
    assert len(made) == 4
    assert mark("WORKER_ID", "i-0other") == mark("WORKER_THREADS", "3") == mark()
