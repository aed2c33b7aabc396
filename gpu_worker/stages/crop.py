"""Crop: cut out and measure the faces, and pick those that are to be recognised."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpu_worker.analysis import find_faces
from gpu_worker.picking import pick
from gpu_worker.profiles import Profile
from gpu_worker.protocol import Task


@dataclass(frozen=True)
class Crop:
    """Cuts out faces.

    Attributes
    ----------
    profile : cuts the views.
    """

    profile: Profile

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Fill in the faces; PhotoError when the job cannot be answered with them."""
        for task in tasks:
            assert task.photo is not None
            pixels, level = task.photo.pixels, task.request.params.quality_filter
            faces = find_faces(pixels, task.detections, level, self.profile)
            try:
                pick(task, pixels, faces)
            finally:
                task.drop_photo()
