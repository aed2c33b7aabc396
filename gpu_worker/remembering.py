"""Results also go to the cache: to be read fast, to wake who waits, to be repeated."""

from dataclasses import dataclass

from faces.cache.cache import Cache
from faces.contracts.results import JobResult, ModelInfo
from faces.contracts.version import CODE_VERSION
from faces.contracts.worker_settings import WorkerSettings
from gpu_worker.publish import ResultStore


@dataclass(frozen=True)
class CachedResults:
    """A `ResultStore` that tells the cache what the store behind it keeps.

    Attributes
    ----------
    fingerprint : of this worker's answers, see `fingerprint`.
    """

    results: ResultStore
    cache: Cache
    fingerprint: str

    def stored(self, job_id: str) -> JobResult | None:
        """Return the result of a job that has one."""
        return self.results.stored(job_id)

    def store(self, result: JobResult) -> JobResult:
        """Write a result unless the job has one; return the one that counts."""
        counts = self.results.store(result)
        body = counts.model_dump_json().encode()
        self.cache.keep_result(counts.job_id, body)
        if counts is result and counts.state == "succeeded":
            question = self.cache.question(counts.job_id)
            if question is not None:
                self.cache.keep_answer(question, self.fingerprint, body)
        return counts


def fingerprint(model: ModelInfo, **settings: object) -> str:
    """Name all that an answer depends on beside photo, question and gallery.

    Parameters
    ----------
    settings : what of the worker's settings changes answers.
    """
    parts = [model.tag, CODE_VERSION]
    parts += [f"{name}={value}" for name, value in sorted(settings.items())]
    return " ".join(parts)


def fingerprint_of(model: ModelInfo, settings: WorkerSettings) -> str:
    """Name all that the answers of a worker with these settings depend on."""
    rates = settings.false_accept_rate, settings.verify_false_accept_rate
    return fingerprint(model, rates=rates, detection=settings.detection)
