"""How well a face can be recognised, measured on its crop, box and landmarks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faces.contracts.jobs import QualityFilter
from faces.contracts.results import Box, FaceQuality, PoorReason, Pose
from gpu_worker.backends.base import FloatArray, RgbImage
from gpu_worker.pose import head_pose

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601

_HALF_SHARP = 100.0
"""Variance of the Laplacian of a crop (grey levels squared) that counts as sharpness 50."""


@dataclass(frozen=True)
class Limits:
    """From where on a face is poor.

    Attributes
    ----------
    confidence : the detector's probability, at least.
    size_px : shorter side of the box in pixels, at least.
    sharpness, dark, bright : see `FaceQuality`; dark and bright bound its brightness.
    turn : yaw or pitch in degrees, at most; a roll does not count.
    score : see `FaceQuality`, at least, where it is known.
    """

    confidence: float
    size_px: int
    sharpness: float
    dark: float
    bright: float
    turn: float
    score: float


# Of 1,583 LFW faces LOW calls 0.1 % poor, MEDIUM 3 % and HIGH 30 %; of these photos made
# small, blurred, dark or pale 69, 87 and 95 %.
LIMITS = {
    QualityFilter.LOW: Limits(0.95, 20, 10, 10, 95, 60, 70),
    QualityFilter.MEDIUM: Limits(0.98, 40, 20, 15, 90, 45, 90),
    QualityFilter.HIGH: Limits(0.99, 80, 35, 20, 85, 30, 95),
}


def measure(crop: RgbImage, box: Box, landmarks: FloatArray) -> FaceQuality:
    """Measure a face; `reasons` stays empty.

    Parameters
    ----------
    crop : (160, 160, 3) uint8 RGB, as the network sees the face.
    box : the face in pixels of the photo.
    landmarks : (5, 2) float32 in pixels of the photo.
    """
    luma = crop.astype(np.float32) @ _LUMA
    variance = float(_laplacian(luma).var())
    return FaceQuality(
        sharpness=round(100 * variance / (variance + _HALF_SHARP), 1),
        brightness=round(float(luma.mean()) / 255 * 100, 1),
        pose=_rounded(head_pose(landmarks)),
        size_px=min(box.width, box.height),
    )


def poor_reasons(
    quality: FaceQuality, confidence: float, level: QualityFilter
) -> tuple[PoorReason, ...]:
    """Return why a face is poor by the limits of `level`; `NONE` reports as `LOW` does."""
    limits = LIMITS.get(level, LIMITS[QualityFilter.LOW])
    turn = max(abs(quality.pose.yaw), abs(quality.pose.pitch))
    checks = {
        PoorReason.LOW_CONFIDENCE: confidence < limits.confidence,
        PoorReason.SMALL_BOUNDING_BOX: quality.size_px < limits.size_px,
        PoorReason.LOW_SHARPNESS: quality.sharpness < limits.sharpness,
        PoorReason.LOW_BRIGHTNESS: quality.brightness < limits.dark,
        PoorReason.HIGH_BRIGHTNESS: quality.brightness > limits.bright,
        PoorReason.EXTREME_POSE: turn > limits.turn,
        PoorReason.LOW_FACE_QUALITY: quality.score is not None and quality.score < limits.score,
    }
    return tuple(reason for reason, poor in checks.items() if poor)


def _laplacian(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the four-neighbour Laplacian of the inner pixels."""
    centre = luma[1:-1, 1:-1]
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    laplacian: NDArray[np.float32] = around - 4 * centre
    return laplacian


def _rounded(pose: Pose) -> Pose:
    return Pose(roll=round(pose.roll, 1), yaw=round(pose.yaw, 1), pitch=round(pose.pitch, 1))
