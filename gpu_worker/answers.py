"""The four kinds of jobs: from a photo's faces to what is answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import numpy as np
from pydantic import ValidationError

from faces.contracts.errors import ErrorCode, FacesError, InvalidInput, PhotoError
from faces.contracts.ids import derived_id
from faces.contracts.jobs import JobKind, JobRequest, QualityFilter
from faces.contracts.results import DetectedFace, Enrolment, FaceQuality, Verification
from faces.gallery.records import NewPerson
from faces.gallery.vectors import UnmatchedFace
from gpu_worker.analysis import Face, central_face, embed_faces, rivals
from gpu_worker.backends.base import Embedder, FloatArray, RgbImage
from gpu_worker.index import GalleryIndex
from gpu_worker.matching import decide
from gpu_worker.timings import Timings

_Stored = TypeVar("_Stored")


class GalleryPort(Protocol):
    """What answers need of the gallery of record (`faces.gallery.gallery.Gallery`)."""

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
    ) -> Enrolment: ...

    def remember_unmatched(self, faces: Sequence[UnmatchedFace]) -> None: ...

    def unmatched_embedding(
        self, tenant: str, collection: str, req_id: str, model_tag: str
    ) -> FloatArray: ...

    def person_embeddings(
        self, tenant: str, collection: str, person_id: str, model_tag: str
    ) -> FloatArray: ...


@dataclass
class Draft:
    """What is known of a job so far; also a failed job's result shows it."""

    job_id: str
    request: JobRequest
    timings: Timings
    faces: tuple[DetectedFace, ...] = ()
    enrolment: Enrolment | None = None
    verification: Verification | None = None


@dataclass(frozen=True)
class Answerer:
    """Answers jobs whose faces are found.

    Attributes
    ----------
    threshold : cosine similarity from which a face counts as the person, where the job
        does not say.
    unmatched_for : how long an unknown face can be enrolled by its `req_id`.
    clock : returns the time, aware.
    """

    embedder: Embedder
    gallery: GalleryPort
    index: GalleryIndex
    threshold: float
    unmatched_for: timedelta
    clock: Callable[[], datetime]

    def answer(self, draft: Draft, image: RgbImage, faces: Sequence[Face]) -> None:
        """Write the answer into the draft.

        Parameters
        ----------
        image : (height, width, 3) uint8 RGB.
        faces : all faces of the photo, the largest first.

        Raises
        ------
        FacesError
            When the job ends in an error; what the draft holds until then stands.
        TransientError
            When the database is away; nothing was stored, or the same again.
        """
        match draft.request.kind:
            case JobKind.DETECT:
                draft.faces = _describe(faces[: draft.request.params.max_faces])
            case JobKind.IDENTIFY:
                self._identify(draft, faces[: draft.request.params.max_faces])
            case JobKind.ENROLL:
                self._enroll(draft, image, faces)
            case JobKind.VERIFY:
                self._verify(draft, image, faces)

    def _identify(self, draft: Draft, faces: Sequence[Face]) -> None:
        draft.faces = _describe(faces)
        good = [number for number, face in enumerate(faces) if not _filtered(face, draft.request)]
        with draft.timings.stage("embed"):
            vectors = embed_faces(self.embedder, [faces[number] for number in good])
        with draft.timings.stage("match"):
            answered = list(draft.faces)
            unknown = []
            for number, described, vector in zip(
                good, self._match(draft, good, vectors), vectors, strict=True
            ):
                if described.match is None:
                    described = self._with_req_id(draft, number, described)
                    unknown.append(self._unmatched(draft, described, vector))
                answered[number] = described
            # Before the result exists: nobody may learn of a req_id that is not kept.
            if unknown:
                self._making_collection(
                    draft.request, lambda: self.gallery.remember_unmatched(unknown)
                )
            draft.faces = tuple(answered)

    def _match(
        self, draft: Draft, numbers: Sequence[int], vectors: FloatArray
    ) -> list[DetectedFace]:
        request, params = draft.request, draft.request.params
        found = self.index.search(
            request.tenant, request.collection, vectors, params.candidates + 1
        )
        described = []
        for number, hits in zip(numbers, found, strict=True):
            match, candidates = decide(
                hits, self.index.names, self._threshold(request), params.candidates
            )
            update = {"match": match, "candidates": candidates}
            described.append(draft.faces[number].model_copy(update=update))
        return described

    def _with_req_id(self, draft: Draft, number: int, face: DetectedFace) -> DetectedFace:
        return face.model_copy(
            update={
                "req_id": derived_id(draft.job_id, f"face-{number}"),
                "req_id_expires_at": self.clock() + self.unmatched_for,
            }
        )

    def _unmatched(self, draft: Draft, face: DetectedFace, vector: FloatArray) -> UnmatchedFace:
        assert face.req_id is not None
        assert face.req_id_expires_at is not None
        return UnmatchedFace(
            req_id=face.req_id,
            tenant=draft.request.tenant,
            collection=draft.request.collection,
            job_id=draft.job_id,
            embedding=vector,
            model_tag=self.embedder.model.tag,
            expires_at=face.req_id_expires_at,
            box=face.box,
            quality=face.quality,
        )

    def _enroll(self, draft: Draft, image: RgbImage, faces: Sequence[Face]) -> None:
        request, params = draft.request, draft.request.params
        person = params.person_id or _new_person(params.person_name or "")
        if not faces:
            raise PhotoError(ErrorCode.NO_FACE)
        chosen = central_face(faces, image)
        if not params.force:
            draft.faces = _describe(faces[: params.max_faces])
            if rivals(faces, chosen):
                raise PhotoError(ErrorCode.SEVERAL_FACES)
            if chosen.quality.reasons:
                raise _poor(chosen)
        draft.faces = _describe([chosen])
        with draft.timings.stage("embed"):
            vector = embed_faces(self.embedder, [chosen])[0]
        with draft.timings.stage("match"):
            draft.enrolment = self._making_collection(
                request,
                lambda: self.gallery.enroll_face(
                    job_id=draft.job_id,
                    tenant=request.tenant,
                    collection=request.collection,
                    person=person,
                    embedding=vector,
                    model_tag=self.embedder.model.tag,
                    quality=chosen.quality,
                ),
            )

    def _verify(self, draft: Draft, image: RgbImage, faces: Sequence[Face]) -> None:
        request = draft.request
        if not faces:
            raise PhotoError(ErrorCode.NO_FACE)
        chosen = central_face(faces, image)
        draft.faces = _describe([chosen])
        if _filtered(chosen, request):
            raise _poor(chosen)
        with draft.timings.stage("embed"):
            probe = embed_faces(self.embedder, [chosen])[0]
        with draft.timings.stage("match"):
            others = self._claimed(request)
            similarity = float(np.max(others @ probe))
        threshold = self._threshold(request)
        draft.verification = Verification(
            same_person=similarity >= threshold,
            similarity=round(similarity, 4),
            threshold=threshold,
        )

    def _making_collection(self, request: JobRequest, write: Callable[[], _Stored]) -> _Stored:
        """Write to the gallery; make the job's collection when that is what is missing.

        So a collection begins with the first photo that is sent to it.
        """
        try:
            return write()
        except FacesError as error:
            if error.code is not ErrorCode.UNKNOWN_COLLECTION:
                raise
        self.gallery.ensure_collection(request.tenant, request.collection)
        return write()

    def _claimed(self, request: JobRequest) -> FloatArray:
        """Return (n, 512) vectors, n at least 1, of whom the face should be."""
        params, tag = request.params, self.embedder.model.tag
        if params.req_id is not None:
            return self.gallery.unmatched_embedding(
                request.tenant, request.collection, params.req_id, tag
            )[np.newaxis]
        assert params.person_id is not None
        vectors = self.gallery.person_embeddings(
            request.tenant, request.collection, params.person_id, tag
        )
        if len(vectors) == 0:
            raise PhotoError(
                ErrorCode.UNKNOWN_FACE,
                "This person has no face to compare with; enrol a photo of the person first.",
            )
        return vectors

    def _threshold(self, request: JobRequest) -> float:
        asked = request.params.threshold
        return self.threshold if asked is None else asked


def _describe(faces: Sequence[Face]) -> tuple[DetectedFace, ...]:
    return tuple(face.describe() for face in faces)


def _filtered(face: Face, request: JobRequest) -> bool:
    """Whether the job asked that so poor a face is only detected."""
    return request.params.quality_filter is not QualityFilter.NONE and bool(face.quality.reasons)


def _poor(face: Face) -> PhotoError:
    reasons = ", ".join(face.quality.reasons)
    return PhotoError(
        ErrorCode.POOR_FACE,
        f"The face is too poor ({reasons}); use a sharp, well-lit, frontal and larger face.",
    )


def _new_person(name: str) -> NewPerson:
    try:
        return NewPerson(name=name)
    except ValidationError:
        raise InvalidInput(
            "params.person_name", "The person's name must hold visible text."
        ) from None
