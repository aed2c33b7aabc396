"""Jobs: a photo is sent, and what is known of it is waited for."""

from typing import TypeVar

from faces.client import calls
from faces.client.connection import Connection
from faces.client.errors import JobFailed, JobTimeout
from faces.client.photos import Photo, Source, load
from faces.contracts.jobs import (
    DEFAULT_COLLECTION,
    JobCreated,
    JobDeleted,
    JobKind,
    JobParams,
    JobState,
    JobView,
)
from faces.contracts.results import Enrolment, JobResult, Verification

T = TypeVar("T")


class JobOperations:
    """What a client does with jobs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def identify(
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

        Examples
        --------
        >>> result = await client.identify("team.jpg", collection="office")
        >>> for face in result.faces:
        ...     print(face.match.name if face.match else "unknown", face.box.width)
        Ann 66
        unknown 64
        """
        given = {
            "false_accept_rate": false_accept_rate,
            "max_faces": max_faces,
            "candidates": candidates,
        }
        params = JobParams.model_validate({k: v for k, v in given.items() if v is not None})
        return await self.run(photo, JobKind.IDENTIFY, collection, params, timeout=timeout)

    async def detect(self, photo: Source, *, timeout: float = 120.0) -> JobResult:
        """Return the faces of a photo and their quality, without asking who they are.

        Examples
        --------
        >>> result = await client.detect("team.jpg")
        >>> [face.quality.sharpness for face in result.faces]
        [58.3, 41.0]
        """
        return await self.run(photo, JobKind.DETECT, timeout=timeout)

    async def enroll(
        self,
        photo: Source,
        name: str | None = None,
        *,
        person_id: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        force: bool = False,
        timeout: float = 120.0,
    ) -> Enrolment:
        """Enrol the one face of a photo, and return whose it is now.

        Parameters
        ----------
        name : makes a new person.
        person_id : adds the face to a person who is there; either this or `name`.
        force : store the face though a check advises against it.

        Raises
        ------
        JobFailed
            The face was refused, with the reason as its code: `no_face`, `several_faces`,
            `poor_face`, `looks_like_another`, `duplicate_face`.

        Examples
        --------
        >>> enrolled = await client.enroll("ann.jpg", "Ann")
        >>> enrolled.name
        'Ann'
        """
        given = {"person_name": name, "person_id": person_id, "force": force}
        params = JobParams.model_validate({k: v for k, v in given.items() if v is not None})
        result = await self.run(photo, JobKind.ENROLL, collection, params, timeout=timeout)
        assert result.enrolment is not None, "an enrolment that succeeded has one"
        return result.enrolment

    async def verify(
        self,
        photo: Source,
        *,
        person_id: str | None = None,
        req_id: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        false_accept_rate: float | None = None,
        timeout: float = 120.0,
    ) -> Verification:
        """Return whether a photo's face is that person's, or an earlier unknown face.

        Parameters
        ----------
        person_id, req_id : whom to compare with; one of both.
        false_accept_rate : the share of other people that may be taken for that person.

        Examples
        --------
        >>> seen = await client.verify("door.jpg", person_id=ann)
        >>> seen.same_person, seen.similarity
        (True, 0.97)
        """
        given = {
            "person_id": person_id,
            "req_id": req_id,
            "false_accept_rate": false_accept_rate,
        }
        params = JobParams.model_validate({k: v for k, v in given.items() if v is not None})
        result = await self.run(photo, JobKind.VERIFY, collection, params, timeout=timeout)
        assert result.verification is not None, "a verification that succeeded has one"
        return result.verification

    async def run(
        self,
        photo: Source,
        kind: JobKind,
        collection: str = DEFAULT_COLLECTION,
        params: JobParams | None = None,
        *,
        timeout: float = 120.0,
    ) -> JobResult:
        """Do a job of any kind: submit, upload, wait; raises what `identify` raises.

        Examples
        --------
        >>> from faces.contracts.jobs import JobKind, JobParams
        >>> result = await client.run("ann.jpg", JobKind.IDENTIFY, params=JobParams(max_faces=1))
        >>> result.state
        'succeeded'
        """
        created = await self.send(photo, kind, collection, params)
        return succeeded(await self.wait(created.job_id, timeout=timeout))

    async def send(
        self,
        photo: Source,
        kind: JobKind = JobKind.IDENTIFY,
        collection: str = DEFAULT_COLLECTION,
        params: JobParams | None = None,
        *,
        callback_url: str | None = None,
    ) -> JobCreated:
        """Submit a job and upload its photo, without waiting for the answer.

        Parameters
        ----------
        callback_url : is called when the job has ended; see `faces.client.verify_webhook`.

        Examples
        --------
        >>> created = await client.send("team.jpg")
        >>> view = await client.wait(created.job_id)
        >>> view.state.value
        'succeeded'
        """
        loaded = await self._load(photo)
        created = await self.submit(loaded, kind, collection, params, callback_url=callback_url)
        await self.upload(created, loaded)
        return created

    async def submit(
        self,
        photo: Source,
        kind: JobKind = JobKind.IDENTIFY,
        collection: str = DEFAULT_COLLECTION,
        params: JobParams | None = None,
        *,
        callback_url: str | None = None,
    ) -> JobCreated:
        """Ask for a job id and an upload form; of the photo only name and type are sent.

        Examples
        --------
        >>> created = await client.submit("team.jpg")
        >>> created.upload.max_bytes
        10485760
        """
        loaded = await self._load(photo)
        call = calls.create_job(kind, collection, loaded, params or JobParams(), callback_url)
        return await self._connection.perform(call)

    async def upload(self, created: JobCreated, photo: Source) -> None:
        """Send the photo to S3 by the form of `created`.

        Examples
        --------
        >>> created = await client.submit("team.jpg")
        >>> await client.upload(created, "team.jpg")
        """
        loaded = await self._load(photo)
        await self._connection.perform(calls.upload(created.upload, loaded))

    async def job(self, job_id: str) -> JobView:
        """Return how a job stands.

        Examples
        --------
        >>> view = await client.job(job_id)
        >>> view.state.final
        True
        """
        return await self._connection.perform(calls.get_job(job_id))

    async def wait(self, job_id: str, *, timeout: float = 120.0) -> JobView:
        """Ask for a job until it has ended, whichever way.

        Raises
        ------
        JobTimeout
            It has not ended after `timeout` seconds.

        Examples
        --------
        >>> view = await client.wait(job_id, timeout=60)
        >>> len(view.result.faces)
        2
        """
        longest = self._connection.poll.wait_seconds

        async def look(left: float) -> JobView:
            return await self._connection.perform(calls.get_job(job_id, int(min(left, longest))))

        view, waited = await self._connection.ask_until(look, _ended, timeout)
        if not view.state.final:
            raise JobTimeout(view, waited)
        return view

    async def delete_job(self, job_id: str) -> JobDeleted:
        """Delete a job's photo, result and unknown faces; what it enrolled stays.

        Examples
        --------
        >>> deleted = await client.delete_job(job_id)
        >>> deleted.unmatched_faces
        1
        """
        return await self._connection.perform(calls.delete_job(job_id))

    async def _load(self, photo: Source) -> Photo:
        return await self._connection.runtime.read(lambda: load(photo))


def succeeded(view: JobView) -> JobResult:
    """Return the result of a job that has ended well; raises `JobFailed` otherwise."""
    if view.state is not JobState.SUCCEEDED or view.result is None:
        raise JobFailed(view)
    return view.result


def _ended(view: JobView) -> bool:
    return view.state.final
