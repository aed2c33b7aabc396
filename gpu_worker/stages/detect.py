"""Detect: where the faces are."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpu_worker.backends.base import Detector
from gpu_worker.protocol import Task


@dataclass(frozen=True)
class Detect:
    """Runs the detector on a batch."""

    detector: Detector

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Fill in the detections."""
        images = [task.photo.pixels for task in tasks if task.photo is not None]
        for task, found in zip(tasks, self.detector.detect(images), strict=True):
            task.detections = found
