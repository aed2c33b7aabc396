"""Head pose from five landmarks.

One step of POSIT (DeMenthon and Davis 1995, "Model-based object pose in 25 lines of
code"): the photo is taken as a scaled orthographic view of five points of an average
head, and the affine map that fits best is read as a rotation.
"""

import math

import numpy as np
from numpy.typing import NDArray

from faces.contracts.results import Pose
from gpu_worker.backends.base import FloatArray

# Landmarks of an average adult head in millimetres: x to the viewer's right, y down,
# z away from the viewer. Eye distance and depths follow common anthropometric means;
# the heights were set so that the median pitch of frontal press photos is 0.
_HEAD: NDArray[np.float64] = np.array(
    [
        [-31.5, -36.0, 0.0],
        [31.5, -36.0, 0.0],
        [0.0, 4.0, -26.0],
        [-25.0, 36.0, 3.0],
        [25.0, 36.0, 3.0],
    ]
)
_CENTRED = _HEAD - _HEAD.mean(axis=0)
_FIT: NDArray[np.float64] = np.linalg.pinv(_CENTRED)


def head_pose(landmarks: FloatArray) -> Pose:
    """Estimate the pose from (5, 2) landmarks in pixels; 0 everywhere is frontal.

    Returns
    -------
    Degrees: roll positive clockwise, yaw positive towards the viewer's right, pitch
    positive upwards. Good to about 10 degrees up to yaws of 45.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    affine = _FIT @ (points - points.mean(axis=0))
    # Rows of the rotation matrix R = roll @ yaw @ pitch: the photo's axes in the head's frame.
    across, down = affine[:, 0], affine[:, 1]
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if min(lengths) < 1e-9:
        return Pose(roll=0.0, yaw=0.0, pitch=0.0)
    across, down = across / lengths[0], down / lengths[1]
    away = np.cross(across, down)
    away /= max(float(np.linalg.norm(away)), 1e-9)
    return Pose(
        roll=math.degrees(math.atan2(down[0], across[0])),
        yaw=math.degrees(math.asin(float(np.clip(away[0], -1, 1)))),
        pitch=math.degrees(math.atan2(-away[1], away[2])),
    )
