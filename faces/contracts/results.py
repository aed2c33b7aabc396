"""Results: what is known of a photo when its job has ended.

A result is written once, as `results/<job_id>.json`, and never changes. All pixel
coordinates are in the upright photo (EXIF orientation applied), origin top left.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from faces.contracts.base import StoredDocument
from faces.contracts.errors import ErrorCode, ErrorInfo


class PoorReason(StrEnum):
    """Why a face is poor; the names that Rekognition's `Reasons` made customary."""

    EXTREME_POSE = "EXTREME_POSE"
    LOW_BRIGHTNESS = "LOW_BRIGHTNESS"
    HIGH_BRIGHTNESS = "HIGH_BRIGHTNESS"
    LOW_SHARPNESS = "LOW_SHARPNESS"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    SMALL_BOUNDING_BOX = "SMALL_BOUNDING_BOX"
    EXCEEDS_MAX_FACES = "EXCEEDS_MAX_FACES"
    LOW_FACE_QUALITY = "LOW_FACE_QUALITY"


class Box(StoredDocument):
    """A face's bounding box in pixels; `right` and `bottom` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


class Point(StoredDocument):
    """A position in pixels."""

    x: float
    y: float


class Landmarks(StoredDocument):
    """The five landmarks of MTCNN (Zhang et al. 2016); left and right as the viewer sees."""

    left_eye: Point
    right_eye: Point
    nose: Point
    mouth_left: Point
    mouth_right: Point


class Pose(StoredDocument):
    """Head pose in degrees, estimated from the five landmarks; 0 is frontal.

    Attributes
    ----------
    roll : in-plane turn, positive clockwise.
    yaw : turn to the side, positive towards the viewer's right.
    pitch : nod, positive upwards.
    """

    roll: float
    yaw: float
    pitch: float


class FaceQuality(StoredDocument):
    """How well a face can be recognised.

    Attributes
    ----------
    sharpness : 0 (blurred) to 100, from the variance of the Laplacian of the crop.
    brightness : 0 (black) to 100, the mean luma of the crop.
    size_px : the shorter side of the box in pixels.
    score : 0 to 100, how likely in percent the face is recognised on a usual photo of the
        same person while one stranger in a thousand is too; mostly from how well views of
        the face agree. None where the face was not embedded.
    reasons : what makes the face poor; empty when nothing does.
    """

    sharpness: float
    brightness: float
    pose: Pose
    size_px: int
    score: float | None = None
    reasons: tuple[PoorReason, ...] = ()


class Candidate(StoredDocument):
    """A person of the gallery and how similar the face is.

    Attributes
    ----------
    similarity : cosine similarity in [-1, 1].
    probability : that the face is this person's, where before the comparison it was as
        likely a stranger's as one of the collection's; None in older results.
    face_id : the person's face that was nearest.
    """

    person_id: str
    name: str
    similarity: float
    probability: float | None = None
    face_id: str


class Match(Candidate):
    """A candidate at or above the threshold.

    Attributes
    ----------
    threshold : cosine similarity.
    false_accept_rate : the share of strangers that the threshold lets in, of a collection
        of this size; None in older results.
    """

    threshold: float
    false_accept_rate: float | None = None


class DetectedFace(StoredDocument):
    """One face of the photo.

    Attributes
    ----------
    confidence : the detector's probability in [0, 1].
    match : who it is, or None when nobody is similar enough or no match was asked for.
    req_id : by which an unknown face can be enrolled without sending the photo again,
        until `req_id_expires_at` (UTC).
    candidates : the next best people, best first, whatever their similarity.
    """

    box: Box
    landmarks: Landmarks
    confidence: float
    quality: FaceQuality
    match: Match | None = None
    req_id: str | None = None
    req_id_expires_at: datetime | None = None
    candidates: tuple[Candidate, ...] = ()


class Enrolment(StoredDocument):
    """What an enrolment stored.

    Attributes
    ----------
    warnings : the checks that advised against it, where it was forced.
    """

    person_id: str
    face_id: str
    name: str
    warnings: tuple[ErrorCode, ...] = ()


class Verification(StoredDocument):
    """Whether the photo's face is the one it was compared with.

    Attributes
    ----------
    person_id : whom the face was compared with; None where it was an unknown face.
    similarity : cosine similarity in [-1, 1].
    probability : that it is the same person, where both were as likely before; None in
        older results.
    false_accept_rate : the share of other people that the threshold takes for the person;
        None in older results.
    """

    same_person: bool
    person_id: str | None = None
    similarity: float
    probability: float | None = None
    threshold: float
    false_accept_rate: float | None = None


class ModelInfo(StoredDocument):
    """Which model made the vectors; only vectors of equal `tag` are compared.

    Attributes
    ----------
    name : the network and its training set, such as `facenet-vggface2`.
    crop : the version of everything between photo and network input.
    """

    name: str
    crop: str

    @property
    def tag(self) -> str:
        """Return the tag that vectors in the gallery carry."""
        return f"{self.name}/{self.crop}"


class PhotoInfo(StoredDocument):
    """The photo as it was decoded; `width` and `height` in pixels, upright."""

    width: int
    height: int
    format: str


class JobResult(StoredDocument):
    """The result of a job, as stored and as answered.

    Attributes
    ----------
    faces : the largest first.
    left_out : the photo's other faces, which were only detected: beyond `max_faces`, or
        beside the one that was enrolled or verified. EXCEEDS_MAX_FACES is among their reasons.
    timings_ms : wall milliseconds by stage (`fetch`, `decode`, `detect`, `embed`, `match`).
    worker_id : the EC2 instance, or None when no worker had a part in it.
    image : the machine image that it was started from (ami-...), where it knows it.
    cached : an earlier job had asked the same of the same photo, and the gallery had not
        changed since: this is that job's answer, made without looking at the photo again.
    submitted_at, finished_at : UTC.
    """

    version: Literal[1] = 1
    job_id: str
    kind: str
    tenant: str
    collection: str
    file_name: str | None = None
    state: Literal["succeeded", "failed"]
    error: ErrorInfo | None = None
    photo: PhotoInfo | None = None
    faces: tuple[DetectedFace, ...] = ()
    left_out: tuple[DetectedFace, ...] = ()
    enrolment: Enrolment | None = None
    verification: Verification | None = None
    model: ModelInfo | None = None
    timings_ms: dict[str, float] = Field(default_factory=dict)
    worker_id: str | None = None
    image: str | None = None
    cached: bool = False
    code_version: str
    submitted_at: datetime
    finished_at: datetime

    @property
    def named(self) -> list[Candidate]:
        """Everybody of the gallery whom the result speaks of, one after the other."""
        return [
            one for face in self.faces for one in (face.match, *face.candidates) if one is not None
        ]

    @property
    def claimed(self) -> str | None:
        """The person of the gallery with whom the photo's face was compared, if any."""
        return None if self.verification is None else self.verification.person_id
