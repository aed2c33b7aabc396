"""The client for ordinary (blocking) programs."""

import random
import time
from collections.abc import Callable
from typing import Self

import httpx

from faces.client.blocking import blocking, blocking_iterator
from faces.client.connection import connect
from faces.client.manage import Manager
from faces.client.operations import Operations
from faces.client.polling import PollPolicy
from faces.client.retry import RetryPolicy
from faces.client.runtime import BlockingRuntime


class Client:
    """Asks an Elastic Faces service who is in a photo.

    Its methods are those of `faces.client.AsyncClient`, and block; it may be used by several
    threads.

    Parameters
    ----------
    url : address of the service; `FACES_URL`, else the local stack's, when left out.
    api_key : sent as X-Api-Key to the service and to no other host; `FACES_API_KEY` when
        left out.
    transport : replaces the network, for tests.
    sleep, clock, jitter : wait, monotonic time in seconds, random numbers in [0, 1).
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
        runtime = BlockingRuntime(transport, sleep, clock, jitter, request_seconds)
        self.asynchronous = Operations(connect(url, api_key, runtime, retry, poll))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Address of the service."""
        return self.asynchronous.url

    @property
    def manage(self) -> Manager:
        """Everything around recognition: people, collections, keys, the audit log."""
        return Manager(self.asynchronous.manage)

    identify = blocking(Operations.identify)
    detect = blocking(Operations.detect)
    enroll = blocking(Operations.enroll)
    verify = blocking(Operations.verify)
    run = blocking(Operations.run)
    send = blocking(Operations.send)
    submit = blocking(Operations.submit)
    upload = blocking(Operations.upload)
    job = blocking(Operations.job)
    wait = blocking(Operations.wait)
    delete_job = blocking(Operations.delete_job)
    stream = blocking_iterator(Operations.stream)
    send_batch = blocking(Operations.send_batch)
    batch = blocking(Operations.batch)
    wait_batch = blocking(Operations.wait_batch)
    enroll_req_id = blocking(Operations.enroll_req_id)
    people = blocking_iterator(Operations.people)
    person = blocking(Operations.person)
    delete_person = blocking(Operations.delete_person)
    health = blocking(Operations.health)
    close = blocking(Operations.close)
