"""The cache as the other parts see it, and what stands in where there is none."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Question:
    """What a job asks, such that equal questions have equal answers.

    Attributes
    ----------
    key : a digest of photo, tenant, collection, kind and parameters.
    version : of the collection, read before the photo was looked at.
    """

    key: str
    version: str


@dataclass(frozen=True)
class Answer:
    """A kept answer, and for which version of the collection it counts."""

    version: str
    body: bytes


class Wakeup(Protocol):
    """Waits for the end of one job.

    Attributes
    ----------
    sure : whether an end is announced here; where not, who waits must look often.
    """

    @property
    def sure(self) -> bool: ...

    def wait(self, seconds: float) -> None:
        """Return when the job has ended, or after `seconds`, or earlier for no reason."""


class Cache(Protocol):
    """Keeps results and answers for a while; losing them costs time only.

    No method raises because the cache is away. Results and answers are JSON of
    `JobResult`; a fingerprint names everything but photo, question and gallery that an
    answer depends on: the model, the code, the worker's settings.
    """

    def result(self, job_id: str) -> bytes | None:
        """Return a job's result, or None where it is not kept."""

    def keep_result(self, job_id: str, body: bytes) -> None:
        """Keep a result unless one is kept, and wake who waits for it."""

    def replace_result(self, job_id: str, body: bytes) -> None:
        """Keep a result in place of one that may be kept, and wake who waits for it."""

    def forget_result(self, job_id: str) -> None:
        """Forget a result that is about to be another one."""

    def wakeup(self, job_id: str) -> AbstractContextManager[Wakeup]:
        """Listen for the end of a job; one that comes after this call is not missed."""

    def ask(self, job_id: str, question: Question) -> None:
        """Note which question a job asks, so that its answer can be kept."""

    def question(self, job_id: str) -> Question | None:
        """Return the question that a job asks, where it was noted."""

    def answer(self, key: str) -> Answer | None:
        """Return what today's workers answered to the question of this key."""

    def keep_answer(self, question: Question, fingerprint: str, body: bytes) -> None:
        """Keep the answer that workers of this fingerprint gave."""

    def forget_answer(self, key: str) -> None:
        """Forget the answer to the question of this key."""

    def work_as(self, fingerprint: str) -> None:
        """Say that workers of this fingerprint answer now; other answers count no more."""


class NoCache:
    """A `Cache` that keeps nothing.

    Parameters
    ----------
    sleep : waits so many seconds.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    def result(self, job_id: str) -> bytes | None:
        """Return None."""
        return None

    def keep_result(self, job_id: str, body: bytes) -> None:
        """Do nothing."""

    def replace_result(self, job_id: str, body: bytes) -> None:
        """Do nothing."""

    def forget_result(self, job_id: str) -> None:
        """Do nothing."""

    @contextmanager
    def wakeup(self, job_id: str) -> Iterator[Wakeup]:
        """Hand out something that only sleeps."""
        yield Sleeper(self._sleep)

    def ask(self, job_id: str, question: Question) -> None:
        """Do nothing."""

    def question(self, job_id: str) -> Question | None:
        """Return None."""
        return None

    def answer(self, key: str) -> Answer | None:
        """Return None."""
        return None

    def keep_answer(self, question: Question, fingerprint: str, body: bytes) -> None:
        """Do nothing."""

    def forget_answer(self, key: str) -> None:
        """Do nothing."""

    def work_as(self, fingerprint: str) -> None:
        """Do nothing."""


class Sleeper:
    """A `Wakeup` that hears nothing."""

    sure = False

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep

    def wait(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        self._sleep(seconds)
