"""Which faces of a photo a job is about, by its kind."""

from collections.abc import Sequence

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.jobs import JobKind, JobRequest, QualityFilter
from faces.contracts.results import DetectedFace, FaceQuality
from gpu_worker.analysis import Face, central_face, rivals
from gpu_worker.backends.base import RgbImage
from gpu_worker.protocol import Task


def pick(task: Task, image: RgbImage, faces: Sequence[Face]) -> None:
    """Fill in what the result says of the faces, and which of them are to be embedded.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB.
    faces : all faces of the photo, the largest first.

    Raises
    ------
    PhotoError
        `no_face`, `several_faces` or `poor_face`; the task shows the faces all the same.
    """
    request = task.request
    match request.kind:
        case JobKind.DETECT:
            task.faces = _describe(faces[: request.params.max_faces])
        case JobKind.IDENTIFY:
            answered = faces[: request.params.max_faces]
            task.faces = _describe(answered)
            task.picked = [
                (number, face)
                for number, face in enumerate(answered)
                if not _filtered(face, request)
            ]
        case JobKind.ENROLL:
            _pick_to_enroll(task, image, faces)
        case JobKind.VERIFY:
            chosen = _central(image, faces)
            task.faces = _describe([chosen])
            if _filtered(chosen, request):
                raise poor_face(chosen.quality)
            task.picked = [(0, chosen)]


def pick_again(task: Task, qualities: Sequence[FaceQuality]) -> None:
    """Take up what was learnt of the picked faces' quality when they were embedded.

    Parameters
    ----------
    qualities : of the picked faces; those that are too poor after all are picked no more.
    """
    request = task.request
    described, kept = list(task.faces), []
    for place, ((number, _), quality) in enumerate(zip(task.picked, qualities, strict=True)):
        described[number] = described[number].model_copy(update={"quality": quality})
        strict = request.params.quality_filter is not QualityFilter.NONE
        if request.kind is JobKind.ENROLL:
            strict = not request.params.force
        if not (strict and quality.reasons):
            kept.append(place)
    task.faces = tuple(described)
    if len(kept) == len(task.picked):
        return
    if request.kind is not JobKind.IDENTIFY:
        task.fail(poor_face(qualities[0]))
    task.picked = [task.picked[place] for place in kept]
    task.vectors = task.vectors[kept]


def _pick_to_enroll(task: Task, image: RgbImage, faces: Sequence[Face]) -> None:
    params = task.request.params
    chosen = _central(image, faces)
    several, poor = rivals(faces, chosen) > 0, bool(chosen.quality.reasons)
    if not params.force:
        task.faces = _describe(faces[: params.max_faces])
        if several:
            raise PhotoError(ErrorCode.SEVERAL_FACES)
        if poor:
            raise poor_face(chosen.quality)
    concerns = {ErrorCode.SEVERAL_FACES: several, ErrorCode.POOR_FACE: poor}
    task.concerns = tuple(code for code, found in concerns.items() if found)
    task.faces = _describe([chosen])
    task.picked = [(0, chosen)]


def _central(image: RgbImage, faces: Sequence[Face]) -> Face:
    if not faces:
        raise PhotoError(ErrorCode.NO_FACE)
    return central_face(faces, image)


def _describe(faces: Sequence[Face]) -> tuple[DetectedFace, ...]:
    return tuple(face.describe() for face in faces)


def _filtered(face: Face, request: JobRequest) -> bool:
    """Whether the job asked that so poor a face is only detected."""
    return request.params.quality_filter is not QualityFilter.NONE and bool(face.quality.reasons)


def poor_face(quality: FaceQuality) -> PhotoError:
    """Return the error that says what is poor about a face."""
    reasons = ", ".join(quality.reasons)
    return PhotoError(
        ErrorCode.POOR_FACE,
        f"The face is too poor ({reasons}); use a sharp, well-lit, frontal and larger face.",
    )
