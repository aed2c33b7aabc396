"""The client for ordinary (blocking) programs."""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Self, TypeVar

import httpx

from faces.client import calls
from faces.client.errors import BatchTimeout, ConnectionFailed, JobFailed, JobTimeout
from faces.client.manage import Manager
from faces.client.photos import Source, load
from faces.client.polling import PollPolicy
from faces.client.retry import Failure, RetryPolicy, failure_of_status, parse_retry_after
from faces.contracts.batches import BatchCreated, BatchPhoto, BatchView, NewBatch
from faces.contracts.jobs import (
    DEFAULT_COLLECTION,
    JobCreated,
    JobKind,
    JobParams,
    JobState,
    JobView,
)
from faces.contracts.people import Person, PersonDeleted
from faces.contracts.results import Enrolment, JobResult

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
API_KEY_HEADER = "X-Api-Key"
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Client:
    """Asks an Elastic Faces service who is in a photo.

    Parameters
    ----------
    url : address of the service; `FACES_URL`, else the local stack's, when left out.
    api_key : sent as X-Api-Key to the service and to no other host; `FACES_API_KEY` when
        left out.
    transport : replaces the network, for tests.
    sleep, clock : wait and monotonic time in seconds.
    retry, poll : when requests are sent again and how often a job is asked for.
    request_seconds : time limit of one request.

    Examples
    --------
    >>> from faces import Client
    >>> with Client("http://127.0.0.1:8000", "my-key") as client:  # doctest: +SKIP
    ...     result = client.identify("team.jpg")
    ...     for face in result.faces:
    ...         print(face.match.name if face.match else "unknown")
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        retry: RetryPolicy | None = None,
        poll: PollPolicy | None = None,
        request_seconds: float = 30.0,
    ) -> None:
        self.url = (url or os.environ.get("FACES_URL") or DEFAULT_URL).rstrip("/")
        self._api_key = api_key or os.environ.get("FACES_API_KEY") or ""
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter
        self._retry = retry or RetryPolicy()
        self._poll = poll or PollPolicy()
        self._http = httpx.Client(
            transport=transport,
            timeout=request_seconds,
            # A proxy of the environment cannot reach this computer's own stack.
            mounts=None if transport else dict.fromkeys(("all://127.0.0.1", "all://localhost")),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def identify(
        self,
        photo: Source,
        *,
        collection: str = DEFAULT_COLLECTION,
        false_accept_rate: float | None = None,
        max_faces: int | None = None,
        candidates: int | None = None,
        timeout: float = 120.0,
    ) -> JobResult:
        """Return who is in a photo; waits until the answer is there.

        Parameters
        ----------
        photo : a path or the bytes of a JPEG, PNG or WebP file.
        false_accept_rate, max_faces, candidates : see `faces.contracts.jobs.JobParams`.
        timeout : seconds to wait for the answer.

        Raises
        ------
        JobFailed
            The photo cannot be answered; says why.
        UploadRefused
            S3 refused the photo, as too large for example.
        JobTimeout, ApiError, ConnectionFailed
            See `faces.client.errors`.
        """
        given = {
            "false_accept_rate": false_accept_rate,
            "max_faces": max_faces,
            "candidates": candidates,
        }
        params = JobParams.model_validate({k: v for k, v in given.items() if v is not None})
        return self.run(photo, JobKind.IDENTIFY, collection, params, timeout=timeout)

    def detect(self, photo: Source, *, timeout: float = 120.0) -> JobResult:
        """Return the faces of a photo and their quality, without asking who they are."""
        return self.run(photo, JobKind.DETECT, timeout=timeout)

    def run(
        self,
        photo: Source,
        kind: JobKind,
        collection: str = DEFAULT_COLLECTION,
        params: JobParams | None = None,
        *,
        timeout: float = 120.0,
    ) -> JobResult:
        """Do a job of any kind: submit, upload, wait; raises what `identify` raises."""
        view = self.wait(self.send(photo, kind, collection, params).job_id, timeout=timeout)
        if view.state is not JobState.SUCCEEDED or view.result is None:
            raise JobFailed(view)
        return view.result

    def send(
        self,
        photo: Source,
        kind: JobKind = JobKind.IDENTIFY,
        collection: str = DEFAULT_COLLECTION,
        params: JobParams | None = None,
    ) -> JobCreated:
        """Submit a job and upload its photo, without waiting for the answer."""
        loaded = load(photo)
        created = self.submit(loaded, kind, collection, params)
        self.upload(created, loaded)
        return created

    def submit(
        self,
        photo: Source,
        kind: JobKind = JobKind.IDENTIFY,
        collection: str = DEFAULT_COLLECTION,
        params: JobParams | None = None,
    ) -> JobCreated:
        """Ask for a job id and an upload form; of the photo only name and type are sent."""
        call = calls.create_job(kind, collection, load(photo), params or JobParams())
        return self._perform(call)

    def upload(self, created: JobCreated, photo: Source) -> None:
        """Send the photo to S3 by the form of `created`."""
        self._perform(calls.upload(created.upload, load(photo)))

    def job(self, job_id: str) -> JobView:
        """Return how a job stands."""
        return self._perform(calls.get_job(job_id))

    def wait(self, job_id: str, *, timeout: float = 120.0) -> JobView:
        """Ask for a job until it has ended, whichever way.

        Raises
        ------
        JobTimeout
            It has not ended after `timeout` seconds.
        """

        def look(left: float) -> JobView:
            return self._perform(calls.get_job(job_id, int(min(left, self._poll.wait_seconds))))

        view, waited = self._ask_until(look, lambda view: view.state.final, timeout)
        if not view.state.final:
            raise JobTimeout(view, waited)
        return view

    def send_batch(
        self,
        photos: Iterable[Source],
        kind: JobKind = JobKind.IDENTIFY,
        collection: str = DEFAULT_COLLECTION,
        params: JobParams | None = None,
        *,
        callback_url: str | None = None,
        at_once: int = 8,
    ) -> BatchCreated:
        """Ask the same about up to 500 photos in one call, and upload them all.

        Parameters
        ----------
        at_once : photos that are uploaded at the same time.

        Raises
        ------
        pydantic.ValidationError
            For no photo or more than 500, or parameters that the kind does not allow.
        """
        loaded = [load(photo) for photo in photos]
        batch = NewBatch(
            kind=kind,
            collection=collection,
            callback_url=callback_url,
            params=params or JobParams(),
            photos=tuple(
                BatchPhoto(file_name=photo.name, content_type=photo.content_type)
                for photo in loaded
            ),
        )
        created = self._perform(calls.create_batch(batch))
        with ThreadPoolExecutor(at_once) as pool:
            for _ in pool.map(self.upload, created.jobs, loaded):
                pass
        return created

    def batch(self, batch_id: str) -> BatchView:
        """Return how many jobs of a batch stand where."""
        return self._perform(calls.get_batch(batch_id))

    def wait_batch(self, batch_id: str, *, timeout: float = 600.0) -> BatchView:
        """Ask for a batch until all its jobs have ended, whichever way.

        Raises
        ------
        BatchTimeout
            Some have not ended after `timeout` seconds.
        """
        view, waited = self._ask_until(
            lambda _left: self.batch(batch_id), lambda view: view.finished, timeout
        )
        if not view.finished:
            raise BatchTimeout(view, waited)
        return view

    def enroll_req_id(
        self,
        req_id: str,
        name: str | None = None,
        *,
        person_id: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        birthdate: date | None = None,
        email: str | None = None,
        external_id: str | None = None,
    ) -> Enrolment:
        """Enrol an unknown face of an earlier answer, without sending the photo again.

        Parameters
        ----------
        req_id : of the unknown face; can be used once, until it expires.
        name : makes a new person, with birthdate, email and external_id where given.
        person_id : adds the face to a person who is there.
        """
        given = {
            "name": name,
            "person_id": person_id,
            "birthdate": birthdate.isoformat() if birthdate else None,
            "email": email,
            "external_id": external_id,
        }
        person = {key: value for key, value in given.items() if value is not None}
        return self._perform(calls.enroll_req_id(collection, req_id, person))

    def people(
        self, *, collection: str = DEFAULT_COLLECTION, query: str | None = None
    ) -> Iterator[Person]:
        """Yield the people of a collection by name, those whose name holds `query`."""
        cursor = None
        while True:
            page = self._perform(calls.list_people(collection, query, cursor))
            yield from page.people
            cursor = page.next_cursor
            if cursor is None:
                return

    def person(self, person_id: str, *, collection: str = DEFAULT_COLLECTION) -> Person:
        """Return one person; raises ApiError `unknown_person` where there is none."""
        return self._perform(calls.get_person(collection, person_id))

    def delete_person(
        self, person_id: str, *, collection: str = DEFAULT_COLLECTION
    ) -> PersonDeleted:
        """Delete a person with all faces."""
        return self._perform(calls.delete_person(collection, person_id))

    @property
    def manage(self) -> Manager:
        """Everything around recognition: people, collections, keys, the audit log."""
        return Manager(self._perform)

    def health(self) -> dict[str, object]:
        """Return what the service says of itself; raises when it does not answer."""
        return self._perform(calls.health())

    def _ask_until(
        self, look: Callable[[float], T], ended: Callable[[T], bool], timeout: float
    ) -> tuple[T, float]:
        """Look until the end or for `timeout` seconds; return what was seen, and when.

        Parameters
        ----------
        look : is told how many seconds are left.
        """
        started = self._clock()
        asked = 0
        while True:
            seen = look(max(0.0, timeout - (self._clock() - started)))
            asked += 1
            waited = self._clock() - started
            if ended(seen) or waited >= timeout:
                return seen, waited
            self._sleep(min(self._poll.delay(asked), timeout - waited))

    def _perform(self, call: calls.Call[T]) -> T:
        """Carry out a call, again where that may help."""
        tried = 0
        while True:
            tried += 1
            outcome = self._try(call)
            delay = None
            if outcome.failure is not None:
                delay = self._retry.delay(
                    outcome.failure,
                    tried=tried,
                    idempotent=call.idempotent,
                    retry_after=outcome.retry_after,
                    jitter=self._jitter(),
                )
            if delay is not None:
                self._sleep(delay)
            elif outcome.response is not None:
                return call.read(outcome.response)
            else:
                where = call.url if call.url.startswith("http") else self.url + call.url
                raise ConnectionFailed(
                    f"{call.method} {where}: {outcome.cause} (tries: {tried})"
                ) from outcome.cause

    def _try(self, call: calls.Call[T]) -> "_Outcome":
        try:
            response = self._http.send(self._request(call))
        except httpx.TransportError as error:
            failure = Failure.REFUSED if isinstance(error, _NOT_SENT) else Failure.UNCLEAR
            return _Outcome(failure, cause=error)
        return _Outcome(
            failure_of_status(response.status_code),
            response=response,
            retry_after=parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
        )

    def _request(self, call: calls.Call[T]) -> httpx.Request:
        url = call.url if call.url.startswith("http") else self.url + call.url
        files = None
        if call.file is not None:
            # S3 reads no field that comes after the file; httpx puts the fields first.
            files = {"file": (call.file.name or "photo", call.file.data, call.file.content_type)}
        return self._http.build_request(
            call.method,
            url,
            headers={API_KEY_HEADER: self._api_key} if call.with_key else None,
            json=call.json,
            data=call.form,
            files=files,
        )


@dataclass(frozen=True)
class _Outcome:
    """How one try ended: a response or a cause, and how it failed where it did."""

    failure: Failure | None
    response: httpx.Response | None = None
    cause: httpx.TransportError | None = None
    retry_after: float | None = None
