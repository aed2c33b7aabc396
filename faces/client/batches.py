"""Batches: many photos, opened with one call and answered as they are ready."""

from collections.abc import AsyncGenerator, Iterable

from faces.client import calls
from faces.client.answers import Answer
from faces.client.errors import BatchTimeout
from faces.client.jobs import JobOperations
from faces.client.photos import Source
from faces.client.streaming import Opened, Pace, Streaming
from faces.contracts.batches import BatchCreated, BatchPhoto, BatchView, NewBatch
from faces.contracts.jobs import DEFAULT_COLLECTION, JobKind, JobParams


class BatchOperations(JobOperations):
    """What a client does with many photos."""

    def stream(
        self,
        photos: Iterable[Source],
        kind: JobKind = JobKind.IDENTIFY,
        collection: str = DEFAULT_COLLECTION,
        params: JobParams | None = None,
        *,
        callback_url: str | None = None,
        pace: Pace | None = None,
        opened: Opened | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """Ask the same about any number of photos; yield each answer as soon as it is there.

        What goes wrong with one photo is in its answer, and does not end the stream.

        Parameters
        ----------
        photos : as many as there are; they are read as they are sent.
        pace : how many at the same time, and how long each may take.
        opened : is told of each photo before it is sent, with its job's id.

        Raises
        ------
        ApiError, ConnectionFailed
            The service refuses, or cannot be reached. What was uploaded is worked on.

        Examples
        --------
        >>> async for answer in client.stream(["team.jpg", "gone.jpg"]):
        ...     print(answer.photo, answer.error or len(answer.result.faces))
        gone.jpg gone.jpg: No such file or directory
        team.jpg 2
        """

        def question(described: tuple[BatchPhoto, ...]) -> NewBatch:
            return _batch(described, kind, collection, params, callback_url)

        streaming = Streaming(
            self._connection, photos, question, pace or Pace(), opened or (lambda *_: None)
        )
        return streaming.answers()

    async def send_batch(
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

        Examples
        --------
        >>> opened = await client.send_batch(["team.jpg", "ann.jpg"], collection="office")
        >>> len(opened.jobs)
        2
        """
        loaded = [await self._load(photo) for photo in photos]
        described = tuple(
            BatchPhoto(file_name=photo.name, content_type=photo.content_type) for photo in loaded
        )
        batch = _batch(described, kind, collection, params, callback_url)
        created = await self._connection.perform(calls.create_batch(batch))
        async with self._connection.runtime.tasks(at_once) as tasks:
            for job, photo in zip(created.jobs, loaded, strict=True):
                tasks.start(self.upload(job, photo))
            for _ in loaded:
                (await tasks.next()).unwrap()
        return created

    async def batch(self, batch_id: str) -> BatchView:
        """Return how many jobs of a batch stand where.

        Examples
        --------
        >>> opened = await client.send_batch(["team.jpg", "ann.jpg"])
        >>> view = await client.batch(opened.batch_id)
        >>> view.total
        2
        """
        return await self._connection.perform(calls.get_batch(batch_id))

    async def wait_batch(self, batch_id: str, *, timeout: float = 600.0) -> BatchView:
        """Ask for a batch until all its jobs have ended, whichever way.

        Raises
        ------
        BatchTimeout
            Some have not ended after `timeout` seconds.

        Examples
        --------
        >>> opened = await client.send_batch(["team.jpg", "ann.jpg"])
        >>> view = await client.wait_batch(opened.batch_id)
        >>> view.finished
        True
        """

        async def look(_left: float) -> BatchView:
            return await self.batch(batch_id)

        view, waited = await self._connection.ask_until(look, _finished, timeout)
        if not view.finished:
            raise BatchTimeout(view, waited)
        return view


def _batch(
    photos: tuple[BatchPhoto, ...],
    kind: JobKind,
    collection: str,
    params: JobParams | None,
    callback_url: str | None,
) -> NewBatch:
    return NewBatch(
        kind=kind,
        collection=collection,
        callback_url=callback_url,
        params=params or JobParams(),
        photos=photos,
    )


def _finished(view: BatchView) -> bool:
    return view.finished
