"""From a photo's detections to faces that can be judged, chosen and embedded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from faces.contracts.jobs import MAX_FACES, QualityFilter
from faces.contracts.results import Box, DetectedFace, FaceQuality, Landmarks, Point
from gpu_worker.backends.base import (
    EMBEDDING_SIZE,
    Detection,
    Embedder,
    FloatArray,
    RgbImage,
)
from gpu_worker.calibration import load_calibration
from gpu_worker.crop import clip_box
from gpu_worker.profiles import PLAIN, Profile
from gpu_worker.quality import measure, poor_reasons

MIN_CONFIDENCE = 0.9
"""Detections that are less sure are no faces: 806 of 807 LFW faces are surer, and what
MTCNN takes for a face in clothes and textures scores 0.7 to 0.9."""

_CENTRE_WEIGHT = 2.0
_BYSTANDER = 0.25


@dataclass(frozen=True, eq=False)
class Face:
    """A face of a photo.

    Attributes
    ----------
    box : in whole pixels, inside the photo.
    views : (160, 160, 3) uint8 RGB each, the network's inputs; none of faces that no job is about.
    level : by whose limits the face is called poor.
    quality : what can be told before the face is embedded.
    """

    detection: Detection
    box: Box
    views: tuple[RgbImage, ...]
    quality: FaceQuality
    level: QualityFilter = QualityFilter.NONE

    def describe(self) -> DetectedFace:
        """Return what a result says of the face, without a match."""
        points = [Point(x=float(x), y=float(y)) for x, y in self.detection.landmarks]
        return DetectedFace(
            box=self.box,
            landmarks=Landmarks(
                left_eye=points[0],
                right_eye=points[1],
                nose=points[2],
                mouth_left=points[3],
                mouth_right=points[4],
            ),
            confidence=self.detection.confidence,
            quality=self.quality,
        )


def find_faces(
    image: RgbImage,
    detections: Sequence[Detection],
    level: QualityFilter,
    profile: Profile = PLAIN,
) -> list[Face]:
    """Crop and measure the faces, the largest first.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB.
    level : by whose limits a face is called poor.
    profile : cuts the views.
    """
    inside = [
        (detection, box)
        for detection in detections
        if detection.confidence >= MIN_CONFIDENCE
        and (box := clip_box(image, detection.box)) is not None
    ]
    faces: list[Face] = []
    for detection, box in sorted(
        inside, key=lambda each: (-_area(each[1]), each[1].left, each[1].top)
    ):
        # A collage may hold thousands of faces; each view takes 77 KB.
        wanted = len(faces) < MAX_FACES
        views = profile.crops(image, detection) if wanted else ()
        first = views[0] if wanted else profile.views[0].crop(image, detection)
        quality = measure(first, box, detection.landmarks)
        reasons = poor_reasons(quality, detection.confidence, level)
        faces.append(
            Face(detection, box, views, quality.model_copy(update={"reasons": reasons}), level)
        )
    if len(faces) > MAX_FACES:
        chosen = central_face(faces, image)
        views = chosen.views or profile.crops(image, chosen.detection)
        faces[faces.index(chosen)] = replace(chosen, views=views)
    return faces


def central_face(faces: Sequence[Face], image: RgbImage) -> Face:
    """Return the face that the photo is of: large, and near its centre.

    A box's area less twice the squared distance of its centre from the photo's. Taking
    the largest face instead costs 3 % of accuracy on LFW.
    """
    height, width = image.shape[:2]

    def weight(face: Face) -> float:
        across: float = (face.box.left + face.box.right - width) / 2
        down: float = (face.box.top + face.box.bottom - height) / 2
        return _area(face.box) - _CENTRE_WEIGHT * (across * across + down * down)

    return max(faces, key=weight)


def rivals(faces: Sequence[Face], chosen: Face) -> int:
    """Return how many other faces could be meant: bystanders under a quarter of its size do
    not count.
    """
    return sum(
        face is not chosen and face.quality.size_px >= _BYSTANDER * chosen.quality.size_px
        for face in faces
    )


def embed_faces(embedder: Embedder, faces: Sequence[Face], profile: Profile = PLAIN) -> FloatArray:
    """Return (n, 512) float32 rows of unit length for n faces; see `embed_and_score`."""
    return embed_and_score(embedder, faces, profile)[0]


def embed_and_score(
    embedder: Embedder, faces: Sequence[Face], profile: Profile
) -> tuple[FloatArray, list[FaceQuality]]:
    """Return (n, 512) float32 rows of unit length for n faces, and each one's whole quality.

    Parameters
    ----------
    profile : the one that cut the faces' views.

    Raises
    ------
    RuntimeError
        When the network gives something else; such vectors must not reach the gallery.
    """
    if not faces:
        return np.empty((0, EMBEDDING_SIZE), dtype=np.float32), []
    crops = [view for face in faces for view in face.views]
    vectors = embedder.embed(crops)
    lengths = np.linalg.norm(vectors, axis=1)
    if vectors.shape != (len(crops), EMBEDDING_SIZE) or not np.allclose(lengths, 1, atol=1e-3):
        raise RuntimeError("the embedding network gave no unit vectors")
    views = vectors.reshape(len(faces), len(profile.views), EMBEDDING_SIZE)
    qualities = [face.quality for face in faces]
    if len(profile.views) > 1:
        agreements = profile.agreement(views)
        calibration = load_calibration(profile.crop_version)
        qualities = [
            _scored(
                face,
                calibration.quality_score(
                    face.quality, face.detection.confidence, float(agreement)
                ),
            )
            for face, agreement in zip(faces, agreements, strict=True)
        ]
    return profile.fuse(views), qualities


def _scored(face: Face, score: float | None) -> FaceQuality:
    quality = face.quality.model_copy(update={"score": score})
    reasons = poor_reasons(quality, face.detection.confidence, face.level)
    return quality.model_copy(update={"reasons": reasons})


def _area(box: Box) -> int:
    return box.width * box.height
