"""Match: compare the vectors of a batch with the gallery, and write what must be kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol, TypeVar

import numpy as np

from faces.contracts.collections import CollectionSettings
from faces.contracts.errors import ErrorCode, FacesError, PhotoError, TransientError
from faces.contracts.ids import derived_id
from faces.contracts.jobs import JobKind, JobRequest
from faces.contracts.results import DetectedFace, Enrolment, FaceQuality
from faces.gallery.audit import SYSTEM
from faces.gallery.enrolment import Guard
from faces.gallery.records import NewPerson
from faces.gallery.vectors import UnmatchedFace
from gpu_worker.backends.base import FloatArray
from gpu_worker.index import FaceSearch, Hit, mean_face
from gpu_worker.matching import Decisions, limit
from gpu_worker.protocol import Task

_Stored = TypeVar("_Stored")


class GalleryPort(Protocol):
    """What matching needs of the gallery of record (`faces.gallery.gallery.Gallery`)."""

    def ensure_collection(self, tenant: str, collection: str) -> None: ...

    def enroll_face(
        self,
        *,
        job_id: str,
        tenant: str,
        collection: str,
        person: NewPerson | str,
        embedding: FloatArray,
        model_tag: str,
        quality: FaceQuality | None = None,
        guard: Guard | None = None,
        actor: str = SYSTEM,
    ) -> Enrolment: ...

    def collection_settings(self, tenant: str, collection: str) -> CollectionSettings: ...

    def remember_unmatched(self, faces: Sequence[UnmatchedFace]) -> None: ...

    def unmatched_embedding(
        self, tenant: str, collection: str, req_id: str, model_tag: str
    ) -> FloatArray: ...

    def person_embeddings(
        self, tenant: str, collection: str, person_id: str, model_tag: str
    ) -> FloatArray: ...


@dataclass(frozen=True)
class Match:
    """Answers identify, enroll and verify.

    Attributes
    ----------
    model_tag : of the vectors.
    decisions : who a face is, at the false accept rate that the job asks for.
    unmatched_for : how long an unknown face can be enrolled by its `req_id`, where the
        collection does not say.
    clock : returns the time, aware.
    """

    gallery: GalleryPort
    search: FaceSearch
    model_tag: str
    decisions: Decisions
    unmatched_for: timedelta
    clock: Callable[[], datetime]

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Write the answers into the tasks; those that end in an error alone say so.

        Raises
        ------
        TransientError
            When the database is away; nothing was stored, or the same again.
        """
        self.search.follow()
        identify = [task for task in tasks if task.request.kind is JobKind.IDENTIFY]
        for scope, group in groupby(sorted(identify, key=_scope), key=_scope):
            self._identify(*scope, list(group))
        for task in tasks:
            try:
                if task.request.kind is JobKind.ENROLL:
                    self._enroll(task)
                elif task.request.kind is JobKind.VERIFY:
                    self._verify(task)
            except TransientError:
                raise
            except FacesError as error:
                task.fail(error)

    def _identify(self, tenant: str, collection: str, tasks: Sequence[Task]) -> None:
        """Search the faces of all photos at once."""
        settings = self.gallery.collection_settings(tenant, collection)
        probes = np.concatenate([task.vectors for task in tasks])
        count = max(task.request.params.candidates for task in tasks) + 1
        found = iter(self.search.search(tenant, collection, probes, count))
        unknown: list[UnmatchedFace] = []
        answers: list[tuple[Task, list[DetectedFace]]] = []
        for task in tasks:
            faces = list(task.faces)
            for (number, _), vector in zip(task.picked, task.vectors, strict=True):
                faces[number] = self._described(task, number, next(found), settings)
                if faces[number].match is None:
                    unknown.append(self._unmatched(task, faces[number], vector, settings))
            answers.append((task, faces))
        # Before the result exists: nobody may learn of a req_id that is not kept.
        if unknown:
            self._making_collection(
                tenant, collection, lambda: self.gallery.remember_unmatched(unknown)
            )
        for task, faces in answers:
            task.faces = tuple(faces)

    def _described(
        self, task: Task, number: int, hits: Sequence[Hit], settings: CollectionSettings
    ) -> DetectedFace:
        params = task.request.params
        rate, fixed = limit(params, settings)
        match, others = self.decisions.identify(
            hits[: params.candidates + 1],
            self.search.names,
            rate,
            params.candidates,
            self._size(task.request),
            fixed,
        )
        unknown = match is None
        seconds = settings.retention.unmatched_seconds
        keep = self.unmatched_for if seconds is None else timedelta(seconds=seconds)
        return task.faces[number].model_copy(
            update={
                "match": match,
                "candidates": others,
                "req_id": derived_id(task.job.job_id, f"face-{number}") if unknown else None,
                "req_id_expires_at": self.clock() + keep if unknown else None,
            }
        )

    def _unmatched(
        self, task: Task, face: DetectedFace, vector: FloatArray, settings: CollectionSettings
    ) -> UnmatchedFace:
        assert face.req_id is not None
        assert face.req_id_expires_at is not None
        return UnmatchedFace(
            req_id=face.req_id,
            tenant=task.request.tenant,
            collection=task.request.collection,
            job_id=task.job.job_id,
            embedding=vector,
            model_tag=self.model_tag,
            expires_at=face.req_id_expires_at,
            box=face.box,
            quality=face.quality,
            threshold=self._confusable(task.request, settings),
        )

    def _enroll(self, task: Task) -> None:
        request, params = task.request, task.request.params
        person = params.person_id or NewPerson(name=params.person_name or "")
        settings = self.gallery.collection_settings(request.tenant, request.collection)
        [(number, _)] = task.picked
        task.enrolment = self._making_collection(
            request.tenant,
            request.collection,
            lambda: self.gallery.enroll_face(
                job_id=task.job.job_id,
                tenant=request.tenant,
                collection=request.collection,
                person=person,
                embedding=task.vectors[0],
                model_tag=self.model_tag,
                quality=task.faces[number].quality,
                guard=Guard(self._confusable(request, settings), params.force, task.concerns),
                actor=request.key_id or SYSTEM,
            ),
        )

    def _confusable(self, request: JobRequest, settings: CollectionSettings) -> float:
        """Return the cosine from which two people would be taken for one another.

        A fixed threshold counts only where it is stricter: one that always answers
        somebody says nothing of who looks alike.
        """
        rate, fixed = limit(request.params, settings)
        calibrated = self.decisions.identify_threshold(rate, self._size(request))
        return calibrated if fixed is None else max(calibrated, fixed)

    def _size(self, request: JobRequest) -> int:
        return self.search.size(request.tenant, request.collection)

    def _verify(self, task: Task) -> None:
        claimed = self._claimed(task.request)
        similarity = float(mean_face(claimed) @ task.vectors[0])
        params = task.request.params
        # The collection's settings are about strangers, not about a claimed person.
        rate, fixed = limit(params)
        task.verification = self.decisions.verify(similarity, rate, len(claimed), fixed).model_copy(
            update={"person_id": params.person_id}
        )

    def _making_collection(
        self, tenant: str, collection: str, write: Callable[[], _Stored]
    ) -> _Stored:
        """Write to the gallery; make the job's collection when that is what is missing.

        So a collection begins with the first photo that is sent to it.
        """
        try:
            return write()
        except FacesError as error:
            if error.code is not ErrorCode.UNKNOWN_COLLECTION:
                raise
        self.gallery.ensure_collection(tenant, collection)
        return write()

    def _claimed(self, request: JobRequest) -> FloatArray:
        """Return (n, 512) vectors, n at least 1, of whom the face should be."""
        params = request.params
        if params.req_id is not None:
            return self.gallery.unmatched_embedding(
                request.tenant, request.collection, params.req_id, self.model_tag
            )[np.newaxis]
        assert params.person_id is not None
        vectors = self.gallery.person_embeddings(
            request.tenant, request.collection, params.person_id, self.model_tag
        )
        if len(vectors) == 0:
            raise PhotoError(
                ErrorCode.UNKNOWN_FACE,
                "This person has no face to compare with; enrol a photo of the person first.",
            )
        return vectors


def _scope(task: Task) -> tuple[str, str]:
    return task.request.tenant, task.request.collection
