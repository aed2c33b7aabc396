"""What similarities mean, for each crop version: measured, not assumed.

The numbers lie beside the code in `calibration/<crop version>.json`, which
`python -m benchmarks.accuracy.calibrate` writes. They are aggregates over hundreds of
people; no vector of a person is among them.

How a threshold follows from a false accept rate: of n strangers' comparisons with a gallery
of n people none may reach the threshold with probability 1 - rate, so a single comparison may
do so with probability 1 - (1 - rate)^(1/n) at most. How similar strangers are to one face is
kept as a table of similarities by that probability; to the mean of several faces they are
more similar by a factor that depends on how many these are.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import Field

from faces.contracts.base import Document
from faces.contracts.results import FaceQuality
from gpu_worker.backends.base import FloatArray

_FOLDER = Path(__file__).resolve().parent / "calibration"

LEAST_GALLERY = 1000
"""Smaller galleries are treated as one of so many people where a threshold is asked for:
what was recognised stays so while the gallery grows."""


class CalibrationData(Document):
    """The file of one crop version.

    Attributes
    ----------
    source : the photos, in words.
    centre : (512,) mean of the vectors before it is taken away; empty where it is not.
    tail : similarity that a share 10^-x of the comparisons between strangers' faces reaches,
        by x = 0, 0.25, 0.5, ... The last ones are extrapolated from `measured_to` on.
    measured_to : x up to which the tail was counted.
    stretch : how many times more similar strangers are to the mean of 1, 2, 3, ... faces of
        a person than to one face; the last one is also that of more faces.
    slope, offset : of the logarithm of the likelihood ratio, slope * similarity + offset.
    quality : weights of `quality_signs`, then a constant; empty where faces have one view.
    """

    crop_version: str
    source: str
    people: int
    photos: int
    centre: tuple[float, ...] = ()
    tail: tuple[float, ...] = Field(min_length=2)
    measured_to: float
    stretch: tuple[float, ...] = Field((1.0,), min_length=1)
    slope: float
    offset: float
    quality: tuple[float, ...] = ()


TAIL_STEP = 0.25


@dataclass(frozen=True)
class Calibration:
    """Thresholds and probabilities of one crop version's similarities."""

    data: CalibrationData

    def verify_threshold(self, rate: float, faces: int = 1) -> float:
        """Return the cosine from which a face counts as that of a person.

        Parameters
        ----------
        rate : the share of other people that may be taken for the person.
        faces : of the person, with whose mean the face is compared.
        """
        exponents = TAIL_STEP * np.arange(len(self.data.tail))
        single = float(np.interp(-math.log10(rate), exponents, self.data.tail))
        return min(1.0, single * self._stretch(faces)) if single > 0 else single

    def identify_threshold(self, rate: float, people: int, faces: int = 1) -> float:
        """Return the cosine from which a person of a gallery counts as found.

        Parameters
        ----------
        rate : the share of strangers' photos that may be answered with somebody.
        people : in the gallery.
        faces : of the person.
        """
        return self.verify_threshold(comparison_rate(rate, max(people, LEAST_GALLERY)), faces)

    def same_probability(self, similarity: float, faces: int = 1) -> float:
        """Return how likely it is the person when that is as likely as not before.

        Parameters
        ----------
        similarity : to the mean of the person's faces.
        faces : of the person.
        """
        return 1 / (1 + math.exp(-self._log_ratio(similarity, faces)))

    @property
    def even_threshold(self) -> float:
        """The cosine at which two faces are as likely one person's as two people's."""
        return -self.data.offset / self.data.slope

    def match_probabilities(
        self, similarities: Sequence[float], people: int, faces: Sequence[int] | None = None
    ) -> list[float]:
        """Return how likely the face is each of the nearest people's.

        Before the comparison the face is a stranger's or one of the gallery's with equal
        likelihood, and each person of the gallery is as likely. All others, who are less
        similar than those given, count as not alike at all.

        Parameters
        ----------
        similarities : of the nearest people.
        people : in the gallery.
        faces : of each of the nearest people; one where it is not given.
        """
        counts = [1] * len(similarities) if faces is None else faces
        size = max(people, len(similarities), 1)
        ratios = [
            math.exp(self._log_ratio(each, count))
            for each, count in zip(similarities, counts, strict=True)
        ]
        return [ratio / (size + sum(ratios)) for ratio in ratios]

    def quality_score(
        self, quality: FaceQuality, confidence: float, agreement: float
    ) -> float | None:
        """Return, in percent, how likely the face is recognised; None for single views.

        That is, how likely it reaches the threshold that one stranger in a thousand reaches,
        when it is compared with a usual photo of the same person. Fitted to photos as they
        are and photos that were made small, blurred, dark and pale.

        Parameters
        ----------
        agreement : of the views, see `gpu_worker.profiles.Profile.agreement`.
        """
        if not self.data.quality:
            return None
        *weights, constant = self.data.quality
        sum_ = float(np.dot(weights, quality_signs(quality, confidence, agreement))) + constant
        return round(100 / (1 + math.exp(-max(-50.0, min(50.0, sum_)))), 1)

    def _stretch(self, faces: int) -> float:
        return self.data.stretch[min(max(faces, 1), len(self.data.stretch)) - 1]

    def _log_ratio(self, similarity: float, faces: int) -> float:
        comparable = similarity / self._stretch(faces) if similarity > 0 else similarity
        return min(700.0, max(-700.0, self.data.slope * comparable + self.data.offset))


def comparison_rate(rate: float, people: int) -> float:
    """Return how often a single comparison may err so that `people` of them together err with
    the probability `rate`.
    """
    # log1p and expm1 keep their precision where a rate is far below 1.
    return -math.expm1(math.log1p(-rate) / people)


def quality_signs(quality: FaceQuality, confidence: float, agreement: float) -> FloatArray:
    """Return the signs of trouble that a quality score weighs.

    Each grows with quality, and goes on growing about as much over its whole range.

    Returns
    -------
    (6,) float32: agreement of the views, confidence, sharpness, size, how near to frontal
    left to right, and how near to a middle brightness.
    """
    return np.array(
        [
            -10 * math.sqrt(max(1 - agreement, 0.0)),  # about the angle between the views
            -math.log(max(1 - confidence, 1e-4)),
            math.log(max(quality.sharpness, 1.0)),
            min(math.log(max(quality.size_px, 8)), math.log(100)),
            -abs(quality.pose.yaw) / 30,
            -abs(quality.brightness - 50) / 25,
        ],
        dtype=np.float32,
    )


def calibration_path(crop_version: str) -> Path:
    """Return where the calibration of a crop version lies."""
    return _FOLDER / f"{crop_version}.json"


@cache
def load_calibration(crop_version: str) -> Calibration:
    """Return the calibration of a crop version.

    Raises
    ------
    FileNotFoundError
        When it was never calibrated; its vectors must not be compared.
    """
    text = calibration_path(crop_version).read_text(encoding="utf-8")
    return Calibration(CalibrationData.model_validate(json.loads(text)))


def load_centre(crop_version: str) -> FloatArray:
    """Return the (512,) mean that is taken away from vectors of this crop version."""
    return np.array(load_calibration(crop_version).data.centre, dtype=np.float32)
