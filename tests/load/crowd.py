"""Many photos from many clients at once, and how long each of them waited."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from faces.client import Client, Photo
from faces.client.retry import RetryPolicy
from faces.contracts.jobs import JobState
from local_stack.stack import LocalStack

# Who is turned away comes again, as the SDK does, but gives up later than its default.
PATIENT = RetryPolicy(tries=60, max_retry_after_seconds=120)


@dataclass(frozen=True)
class Crowd:
    """How a crowd of photos went; in seconds from the start.

    Attributes
    ----------
    sent : when the last photo had been sent.
    answered : when each client knew its answer, earliest first.
    """

    sent: float
    answered: tuple[float, ...]

    @property
    def took(self) -> float:
        return self.answered[-1]

    @property
    def rate(self) -> float:
        """Photos a second."""
        return len(self.answered) / self.took

    def within(self, share: float) -> float:
        """Return after how many seconds such a share was answered."""
        return self.answered[max(0, round(share * len(self.answered)) - 1)]


def crowd(stack: LocalStack, photos: Sequence[Photo], clients: int, seconds: float) -> Crowd:
    """Send photos from so many clients at once, and wait for all answers.

    Parameters
    ----------
    seconds : within which all have to be answered.

    Raises
    ------
    AssertionError
        When one did not succeed.
    JobTimeout
        When one was not answered in time.
    """
    sent, answered, lock = [], [], Lock()
    with (
        Client(stack.url, stack.api_key, retry=PATIENT) as client,
        ThreadPoolExecutor(clients) as pool,
    ):
        began = time.monotonic()

        def send(photo: Photo) -> str:
            job_id = client.send(photo).job_id
            with lock:
                sent.append(time.monotonic() - began)
            return job_id

        def wait(job_id: str) -> JobState:
            left = seconds - (time.monotonic() - began)
            state = client.wait(job_id, timeout=max(1.0, left)).state
            with lock:
                answered.append(time.monotonic() - began)
            return state

        jobs = list(pool.map(send, photos))
        states = list(pool.map(wait, jobs))
    wrong = [state for state in states if state is not JobState.SUCCEEDED]
    assert not wrong, f"{len(wrong)} of {len(photos)} did not succeed: {set(wrong)}"
    return Crowd(max(sent), tuple(sorted(answered)))
