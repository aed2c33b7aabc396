"""Profiles: from a detected face to one vector, with more or less work.

A profile cuts one or more views of a face, and puts the vectors that the network makes of
them together. Vectors of different profiles are never compared: each has a crop version
of its own. The worker and the accuracy benchmark run the very same profiles.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image

from faces.contracts.results import ModelInfo
from gpu_worker.backends.base import Detection, FloatArray, RgbImage
from gpu_worker.calibration import load_centre
from gpu_worker.crop import CROP_VERSION, MARGIN_PX, crop_aligned, crop_face, crop_upright


class Cut(StrEnum):
    """How a view is cut; see `gpu_worker.crop`."""

    BOX = "box"
    UPRIGHT = "upright"
    ALIGNED = "aligned"


@dataclass(frozen=True)
class View:
    """One look at a face.

    Attributes
    ----------
    margin : pixels of the crop around the box; aligned views have their own.
    mirrored : left and right swapped.
    resampling : the filter by which the face is scaled.
    """

    cut: Cut = Cut.BOX
    margin: int = MARGIN_PX
    mirrored: bool = False
    resampling: Image.Resampling = Image.Resampling.BILINEAR

    def crop(self, image: RgbImage, detection: Detection) -> RgbImage:
        """Return (160, 160, 3) uint8 RGB; some of the box must lie in the photo."""
        crop = self._cut(image, detection)
        return np.ascontiguousarray(crop[:, ::-1]) if self.mirrored else crop

    def _cut(self, image: RgbImage, detection: Detection) -> RgbImage:
        match self.cut:
            case Cut.BOX:
                return crop_face(image, detection.box, self.margin, self.resampling)
            case Cut.UPRIGHT:
                return crop_upright(
                    image, detection.box, detection.landmarks, self.margin, self.resampling
                )
            case Cut.ALIGNED:
                return crop_aligned(image, detection.landmarks, self.resampling)


@dataclass(frozen=True, eq=False)
class Profile:
    """What is done between a face's detection and its vector.

    Attributes
    ----------
    crop_version : stands in the tag of the vectors; a change of anything below needs another.
    views : at least one.
    centred : whether the mean vector of many people (`gpu_worker.calibration`) is taken
        away: what all faces have in common says nothing about who it is.
    """

    name: str
    crop_version: str
    views: tuple[View, ...]
    centred: bool = False

    def crops(self, image: RgbImage, detection: Detection) -> tuple[RgbImage, ...]:
        """Return one (160, 160, 3) uint8 RGB crop a view.

        Some of the face's box must lie in the photo (see `gpu_worker.crop.clip_box`).
        """
        return tuple(view.crop(image, detection) for view in self.views)

    def fuse(self, vectors: FloatArray) -> FloatArray:
        """Return one unit vector a face.

        Parameters
        ----------
        vectors : (n, views, 512) float32 of unit length, as the network made them.

        Returns
        -------
        (n, 512) float32.
        """
        fused = _unit(vectors.sum(axis=1, dtype=np.float32))
        return _unit(fused - load_centre(self.crop_version)) if self.centred else fused

    def agreement(self, vectors: FloatArray) -> FloatArray:
        """Return (n,) how alike the views of each face are: 1 where they are the same.

        A face that the network sees otherwise when it is cut otherwise is one that it does
        not know well (compare Terhörst et al. 2020, "SER-FIQ").

        Parameters
        ----------
        vectors : as for `fuse`.
        """
        agreement: FloatArray = np.linalg.norm(vectors.mean(axis=1), axis=1)
        return agreement

    def model(self, network: ModelInfo) -> ModelInfo:
        """Return the name of vectors that `network` makes through this profile."""
        return ModelInfo(name=network.name, crop=self.crop_version)


PLAIN = Profile("plain", CROP_VERSION, (View(),))
"""One view, nothing done afterwards: what the others are compared with."""

DEFAULT = Profile(
    "default",
    "mtcnn-160-two-scales-v3",
    (View(resampling=Image.Resampling.LANCZOS), View(Cut.UPRIGHT, 40, mirrored=True)),
    centred=True,
)
"""The most accurate within 1.5 times the work of `PLAIN` (`benchmarks.accuracy.ablation`)."""

ACCURATE = Profile(
    "accurate",
    "mtcnn-160-four-views-v3",
    (
        *DEFAULT.views,
        View(margin=14),
        View(Cut.UPRIGHT),
    ),
    centred=True,
)

PROFILES = {profile.name: profile for profile in (PLAIN, DEFAULT, ACCURATE)}


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = vectors / np.maximum(lengths, 1e-12)
    return unit
