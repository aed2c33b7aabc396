"""Many photos, answered as they are ready.

A batch of forms is opened with one call, its photos are uploaded several at a time, and its
state is asked for now and then; whichever job has ended is read and handed on. The next
batch is opened while earlier ones are worked on, so the backlog that decides how many
workers there are is filled at once, and no request of ours is held open by the service.

Tasks may be threads, so they change nothing here: each returns what is to be done with its
outcome, and `answers` does it.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from faces.client import calls
from faces.client.answers import Answer
from faces.client.connection import Connection
from faces.client.errors import ClientError, JobTimeout, PhotoNotReadable, UploadRefused
from faces.client.photos import Source, described, load
from faces.contracts.batches import MAX_PHOTOS, BatchPhoto, BatchView, NewBatch
from faces.contracts.jobs import JobCreated, JobView

Opened = Callable[[Source, str], None]
Outcome = tuple[Callable[[], None], int]
"""What is to be done, and how many of the requests at the same time have ended."""


@dataclass(frozen=True)
class Pace:
    """How fast a stream goes.

    Attributes
    ----------
    at_once : requests at the same time.
    batch_size : photos that are opened with one call, 500 at most.
    in_flight : photos that are on their way at most.
    timeout : seconds for a photo, from the opening of its batch to its answer.
    """

    at_once: int = 8
    batch_size: int = 100
    in_flight: int = 1000
    timeout: float = 600.0

    def __post_init__(self) -> None:
        if self.at_once < 1 or self.in_flight < 1 or not 1 <= self.batch_size <= MAX_PHOTOS:
            raise ValueError(f"nothing can be sent at this pace: {self}")


@dataclass
class _Batch:
    """Photos that were opened together; `awaited` by job id, until they are answered.

    `unsent` are the jobs whose photos are still to be uploaded.
    """

    batch_id: str
    opened_at: float
    awaited: dict[str, Source]
    unsent: set[str]
    any_sent: bool = False
    asked: int = 0
    asking: bool = False
    reading: set[str] = field(default_factory=set)


class Streaming:
    """One stream; `answers` may be iterated once.

    Parameters
    ----------
    question : returns the batch that asks about some photos.
    opened : is told of each photo before it is sent, with its job's id.
    """

    def __init__(
        self,
        connection: Connection,
        photos: Iterable[Source],
        question: Callable[[tuple[BatchPhoto, ...]], NewBatch],
        pace: Pace,
        opened: Opened,
    ) -> None:
        self._connection = connection
        self._photos = iter(photos)
        self._question = question
        self._pace = pace
        self._opened = opened
        self._batches: list[_Batch] = []
        self._opening = 0
        self._uploads: deque[tuple[_Batch, JobCreated, Source]] = deque()
        self._reads: deque[tuple[_Batch, str, Source]] = deque()
        self._answers: deque[Answer] = deque()
        self._again: deque[Source] = deque()

    async def answers(self) -> AsyncGenerator[Answer, None]:
        """Yield what became of each photo, in the order in which they end."""
        # Beside the requests, a task of each batch waits until it may ask.
        waiting = 1 + self._pace.in_flight // self._pace.batch_size
        async with self._connection.runtime.tasks(self._pace.at_once + waiting) as tasks:
            running = requests = 0
            while True:
                while requests < self._pace.at_once and (request := self._request()) is not None:
                    tasks.start(request)
                    requests += 1
                    running += 1
                for batch in self._batches:
                    if not batch.asking and len(batch.awaited) > len(batch.reading):
                        batch.asking = True
                        tasks.start(self._ask(batch))
                        running += 1
                while self._answers:
                    yield self._answers.popleft()
                if not running:
                    return
                apply, ended = (await tasks.next()).unwrap()
                running -= 1
                requests -= ended
                apply()

    def _request(self) -> Coroutine[Any, Any, Outcome] | None:
        """Return what is most worth doing: answers first, new photos last."""
        if self._reads:
            return self._read(*self._reads.popleft())
        if self._uploads:
            return self._upload(*self._uploads.popleft())
        on_their_way = sum(len(batch.awaited) for batch in self._batches)
        size = min(self._pace.batch_size, self._pace.in_flight - on_their_way)
        # Room for a few photos is not worth a call while others are on their way.
        if self._opening or size < min(self._pace.batch_size, on_their_way):
            return None
        photos = [self._again.popleft() for _ in range(min(size, len(self._again)))]
        photos += islice(self._photos, size - len(photos))
        if not photos:
            return None
        self._opening = 1
        return self._open(photos)

    async def _open(self, photos: list[Source]) -> Outcome:
        answers: list[Answer] = []
        readable: list[Source] = []
        described_as: list[BatchPhoto] = []
        for photo in photos:
            try:
                name, kind = await self._connection.runtime.read(partial(described, photo))
            except PhotoNotReadable as error:
                answers.append(Answer(photo, error=error))
            else:
                readable.append(photo)
                described_as.append(BatchPhoto(file_name=name, content_type=kind))
        created = None
        if readable:
            call = calls.create_batch(self._question(tuple(described_as)))
            created = await self._connection.perform(call)
        now = self._connection.runtime.clock()

        def apply() -> None:
            self._opening = 0
            self._answers.extend(answers)
            if created is not None:
                jobs = list(zip(created.jobs, readable, strict=True))
                for job, photo in jobs:
                    self._opened(photo, job.job_id)
                awaited = {job.job_id: photo for job, photo in jobs}
                batch = _Batch(created.batch_id, now, awaited, set(awaited))
                self._batches.append(batch)
                self._uploads.extend((batch, job, photo) for job, photo in jobs)

        return apply, 1

    async def _upload(self, batch: _Batch, job: JobCreated, photo: Source) -> Outcome:
        failure: ClientError | None = None
        try:
            loaded = await self._connection.runtime.read(partial(load, photo))
            await self._connection.perform(calls.upload(job.upload, loaded))
        except ClientError as error:
            failure = error

        def apply() -> None:
            batch.unsent.discard(job.job_id)
            if failure is None:
                batch.any_sent = True
            elif batch.any_sent and _form_expired(failure):
                # On a slow network, before it was its turn; it gets another form. As one of
                # the batch was sent, this comes to an end.
                self._again.append(photo)
                self._forget(batch, job.job_id)
            else:
                self._end(batch, Answer(photo, job.job_id, error=failure))

        return apply, 1

    async def _ask(self, batch: _Batch) -> Outcome:
        runtime = self._connection.runtime
        batch.asked += 1
        await runtime.sleep(self._connection.poll.delay(batch.asked))
        view = await self._connection.perform(calls.get_batch(batch.batch_id))
        late = runtime.clock() - batch.opened_at

        def apply() -> None:
            batch.asking = False
            self._take(batch, view, late)

        return apply, 0

    def _take(self, batch: _Batch, view: BatchView, waited: float) -> None:
        for job in view.jobs:
            photo = batch.awaited.get(job.job_id)
            if photo is None or job.job_id in batch.reading or job.job_id in batch.unsent:
                continue
            if job.state.final:
                batch.reading.add(job.job_id)
                self._reads.append((batch, job.job_id, photo))
            elif waited >= self._pace.timeout and not batch.unsent:
                seen = JobView(job_id=job.job_id, state=job.state, submitted_at=view.submitted_at)
                error = JobTimeout(seen, waited)
                self._end(batch, Answer(photo, job.job_id, error=error))

    async def _read(self, batch: _Batch, job_id: str, photo: Source) -> Outcome:
        try:
            view = await self._connection.perform(calls.get_job(job_id))
            answer = Answer.of(photo, view)
        except ClientError as error:
            answer = Answer(photo, job_id, error=error)
        return partial(self._end, batch, answer), 1

    def _end(self, batch: _Batch, answer: Answer) -> None:
        assert answer.job_id is not None, "a photo of a batch has a job"
        if self._forget(batch, answer.job_id):
            self._answers.append(answer)

    def _forget(self, batch: _Batch, job_id: str) -> bool:
        """Await a job no longer; return whether it was awaited."""
        was_awaited = batch.awaited.pop(job_id, None) is not None
        batch.reading.discard(job_id)
        if not batch.awaited and batch in self._batches:
            self._batches.remove(batch)
        return was_awaited


def _form_expired(error: ClientError) -> bool:
    """Whether S3 took no photo because its form's time was over."""
    return isinstance(error, UploadRefused) and "expired" in error.reason.lower()
