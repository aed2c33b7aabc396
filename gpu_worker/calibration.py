"""What similarities mean, for each crop version: measured, not assumed.

The numbers lie beside the code in `calibration/<crop version>.json`, which
`python -m benchmarks.accuracy.calibrate` writes. They are aggregates over hundreds of
people; no vector of a person is among them.

How a threshold follows from a false accept rate: of n strangers' comparisons with a gallery
of n faces none may reach the threshold with probability 1 - rate, so a single comparison may
do so with probability 1 - (1 - rate)^(1/n) at most. How similar strangers are is kept as a
table of similarities by that probability.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import Field

from faces.contracts.base import Document
from gpu_worker.backends.base import FloatArray

_FOLDER = Path(__file__).resolve().parent / "calibration"

LEAST_GALLERY = 1000
"""Smaller galleries are treated as one of so many faces: what was recognised stays so
while the gallery grows."""


class CalibrationData(Document):
    """The file of one crop version.

    Attributes
    ----------
    source : the photos, in words.
    centre : (512,) mean of the vectors before it is taken away; empty where it is not.
    tail : similarity that a share 10^-x of the comparisons between strangers reaches, by x =
        0, 0.25, 0.5, ... The last ones are extrapolated from `measured_to` on.
    measured_to : x up to which the tail was counted.
    agreement, pitch : percentiles 0 to 100 of how well the views of a face agree, and of the
        pitch in degrees; empty where there is one view.
    slope, offset : of the logarithm of the likelihood ratio, slope * similarity + offset.
    """

    crop_version: str
    source: str
    people: int
    photos: int
    centre: tuple[float, ...] = ()
    tail: tuple[float, ...] = Field(min_length=2)
    measured_to: float
    slope: float
    offset: float
    agreement: tuple[float, ...] = ()
    pitch: tuple[float, ...] = ()


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
        faces : of the person; the nearest counts.
        """
        # log1p and expm1 keep their precision where a rate is far below 1.
        share = -math.expm1(math.log1p(-rate) / faces)
        exponents = TAIL_STEP * np.arange(len(self.data.tail))
        return float(np.interp(-math.log10(share), exponents, self.data.tail))

    def identify_threshold(self, rate: float, faces: int) -> float:
        """Return the cosine from which a face of a gallery counts as found.

        Parameters
        ----------
        rate : the share of strangers' photos that may be answered with somebody.
        faces : in the gallery.
        """
        return self.verify_threshold(rate, max(faces, LEAST_GALLERY))

    def same_probability(self, similarity: float) -> float:
        """Return how likely two faces are one person's when both are equally likely before."""
        return 1 / (1 + math.exp(-self._log_ratio(similarity)))

    @property
    def even_threshold(self) -> float:
        """The cosine at which two faces are as likely one person's as two people's."""
        return -self.data.offset / self.data.slope

    def quality_score(self, agreement: float, pitch: float) -> float | None:
        """Return how many percent of the reference faces are worse; None for single views.

        A face is as good as the worse of two signs of trouble: views that do not agree, and
        a head that looks down. Chosen by error versus reject among sharpness, brightness,
        size, confidence, yaw, pitch and agreement, and sums of them.

        Parameters
        ----------
        agreement : of the views, see `gpu_worker.profiles.Profile.agreement`.
        pitch : in degrees, positive upwards.
        """
        if not self.data.agreement:
            return None
        return round(
            min(_percent(agreement, self.data.agreement), _percent(pitch, self.data.pitch)), 1
        )

    def match_probabilities(self, similarities: list[float], faces: int) -> list[float]:
        """Return how likely the face is each of the nearest people's.

        Before the comparison the face is a stranger's or one of the gallery's with equal
        likelihood, and each person of the gallery is as likely. All others, who are less
        similar than those given, count as not alike at all.

        Parameters
        ----------
        similarities : of the nearest people.
        faces : in the gallery.
        """
        size = max(faces, LEAST_GALLERY)
        ratios = [math.exp(self._log_ratio(each)) for each in similarities]
        return [ratio / (size + sum(ratios)) for ratio in ratios]

    def _log_ratio(self, similarity: float) -> float:
        return min(700.0, max(-700.0, self.data.slope * similarity + self.data.offset))


def _percent(value: float, percentiles: tuple[float, ...]) -> float:
    return float(np.interp(value, percentiles, np.linspace(0, 100, len(percentiles))))


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
