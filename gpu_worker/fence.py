"""No result names a person whose deletion was answered.

A worker follows the gallery before it compares, but publishes a moment later; between the
two a person may be deleted. So what a result names is looked up once more and held in the
database while the result is written: a deletion that comes first is seen, one that comes
later waits until the result is out, and is answered after it. A comparison with a person
who is gone has no answer, and an enrolment of a face that is gone none either: both fail as
they would have if the person had gone before. Nor does a refusal say whom a face looks like
who is gone.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.results import Candidate, DetectedFace, JobResult
from faces.gallery.enrolment import ALIKE
from gpu_worker.publish import ResultStore

MOST_HOLDERS = 16
"""Fifteen workers on GPUs then have 255 connections; a result is held for some 30 ms."""

Owners = Mapping[str, tuple[str, str]]
_Named = TypeVar("_Named", bound=Candidate)


class Holder(Protocol):
    """What holds faces (`faces.gallery.gallery.Gallery`)."""

    def holding(self, faces: set[str], /) -> AbstractContextManager[Owners]:
        """Keep faces and their people; hand out id and name of the person by face."""

    def holding_person(self, person_id: str, /) -> AbstractContextManager[bool]:
        """Keep a person; hand out whether the person is there."""

    def forget_job(self, tenant: str, job_id: str, /) -> int:
        """Delete the unknown faces of a job."""


class FencedResults:
    """A `ResultStore` that publishes behind the fence.

    Parameters
    ----------
    results : where results are written.
    make_holder : makes what one thread at a time holds with; each is a connection.
    most : holders at once; further threads wait for one.
    """

    def __init__(
        self, results: ResultStore, make_holder: Callable[[], Holder], most: int = MOST_HOLDERS
    ) -> None:
        self._results = results
        self._make_holder = make_holder
        self._room = threading.BoundedSemaphore(most)
        self._idle: list[Holder] = []

    def stored(self, job_id: str) -> JobResult | None:
        """Return the result of a job that has one."""
        return self._results.stored(job_id)

    def store(self, result: JobResult) -> JobResult:
        """Write a result that names only who is there; return the one that counts.

        Raises
        ------
        TransientError
            When the database or the store is away.
        """
        stored = self._store(result)
        deleted = stored.error is not None and stored.error.code is ErrorCode.JOB_DELETED
        if deleted and any(face.req_id is not None for face in result.faces):
            # The job was deleted while its unknown faces were on their way to the gallery.
            with self._holder() as holder:
                holder.forget_job(result.tenant, result.job_id)
        return stored

    def _store(self, result: JobResult) -> JobResult:
        claimed = result.claimed
        if claimed is not None:
            with self._holder() as holder, holder.holding_person(claimed) as there:
                return self._results.store(result if there else without_person(result))
        if result.enrolment is not None:
            with self._holder() as holder, holder.holding({result.enrolment.face_id}) as owners:
                return self._results.store(enrolled(result, owners))
        mistaken = taken_for(result)
        if mistaken is not None:
            with self._holder() as holder, holder.holding_person(mistaken) as there:
                return self._results.store(result if there else in_general(result))
        named = faces_named(result)
        if not named:
            return self._results.store(result)
        with self._holder() as holder, holder.holding(named) as owners:
            return self._results.store(corrected(result, owners))

    @contextmanager
    def _holder(self) -> Iterator[Holder]:
        with self._room:
            try:
                holder = self._idle.pop()
            except IndexError:
                holder = self._make_holder()
            try:
                yield holder
            finally:
                self._idle.append(holder)


def faces_named(result: JobResult) -> set[str]:
    """Return the ids of all enrolled faces that a result speaks of."""
    return {one.face_id for one in result.named}


def without_person(result: JobResult) -> JobResult:
    """Return the result of a comparison with, or an enrolment of, a person who is gone."""
    error = FacesError(ErrorCode.UNKNOWN_PERSON).info()
    gone = {"verification": None, "enrolment": None}
    return result.model_copy(update={"state": "failed", "error": error, **gone})


def taken_for(result: JobResult) -> str | None:
    """Return whom the face of a refused enrolment looks like, by the error's words."""
    if result.error is None or result.error.code is not ErrorCode.LOOKS_LIKE_ANOTHER:
        return None
    # The last: a name is any text, and comes before.
    found: list[str] = ALIKE.findall(result.error.message)
    return found[-1] if found else None


def in_general(result: JobResult) -> JobResult:
    """Return a failed result in the words of the catalogue, which speak of nobody."""
    assert result.error is not None
    return result.model_copy(update={"error": FacesError(result.error.code).info()})


def enrolled(result: JobResult, owners: Owners) -> JobResult:
    """Return the result of an enrolment as it is true now: whose the face is, or a failure."""
    assert result.enrolment is not None
    owner = owners.get(result.enrolment.face_id)
    if owner is None:
        return without_person(result)
    if owner == (result.enrolment.person_id, result.enrolment.name):
        return result
    enrolment = result.enrolment.model_copy(update={"person_id": owner[0], "name": owner[1]})
    return result.model_copy(update={"enrolment": enrolment})


def corrected(result: JobResult, owners: Owners) -> JobResult:
    """Return the result as it is true now: without who is gone, by their present names."""
    faces = tuple(_face(face, owners) for face in result.faces)
    return result if faces == result.faces else result.model_copy(update={"faces": faces})


def _face(face: DetectedFace, owners: Owners) -> DetectedFace:
    match = None if face.match is None else _named(face.match, owners)
    found = [_named(candidate, owners) for candidate in face.candidates]
    # After a merge two of them may be one person.
    seen = {match.person_id} if match else set()
    candidates = []
    for candidate in found:
        if candidate is not None and candidate.person_id not in seen:
            seen.add(candidate.person_id)
            candidates.append(candidate)
    return face.model_copy(update={"match": match, "candidates": tuple(candidates)})


def _named(one: _Named, owners: Owners) -> _Named | None:
    owner = owners.get(one.face_id)
    if owner is None:
        return None
    return one.model_copy(update={"person_id": owner[0], "name": owner[1]})
