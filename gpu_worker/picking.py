"""Which faces of a photo a job is about, by its kind."""

from collections.abc import Sequence

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.jobs import JobKind, JobRequest, QualityFilter
from faces.contracts.results import DetectedFace, FaceQuality, PoorReason
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
            _show(task, faces[: request.params.max_faces], faces)
        case JobKind.IDENTIFY:
            answered = faces[: request.params.max_faces]
            _show(task, answered, faces)
            task.picked = [
                (number, face)
                for number, face in enumerate(answered)
                if not _filtered(face, request)
            ]
        case JobKind.ENROLL:
            _pick_to_enroll(task, image, faces)
        case JobKind.VERIFY:
            chosen = _central(image, faces)
            _show(task, [chosen], faces)
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
            if quality.reasons and ErrorCode.POOR_FACE not in task.concerns:
                task.concerns = (*task.concerns, ErrorCode.POOR_FACE)
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
        _show(task, faces[: params.max_faces], faces)
        if several:
            raise PhotoError(ErrorCode.SEVERAL_FACES)
        if poor:
            raise poor_face(chosen.quality)
    concerns = {ErrorCode.SEVERAL_FACES: several, ErrorCode.POOR_FACE: poor}
    task.concerns = tuple(code for code, found in concerns.items() if found)
    _show(task, [chosen], faces)
    task.picked = [(0, chosen)]


def _central(image: RgbImage, faces: Sequence[Face]) -> Face:
    if not faces:
        raise PhotoError(ErrorCode.NO_FACE)
    return central_face(faces, image)


def _show(task: Task, answered: Sequence[Face], faces: Sequence[Face]) -> None:
    """Have the result tell of the faces that the job is about, and of all others."""
    task.faces = tuple(face.describe() for face in answered)
    task.left_out = tuple(_left_out(face) for face in faces if face not in answered)


def _left_out(face: Face) -> DetectedFace:
    reasons = (PoorReason.EXCEEDS_MAX_FACES, *face.quality.reasons)
    quality = face.quality.model_copy(update={"reasons": reasons})
    return face.describe().model_copy(update={"quality": quality})


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
