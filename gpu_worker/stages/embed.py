"""Embed: the vectors of all faces of a batch in one go."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpu_worker.analysis import embed_and_score
from gpu_worker.backends.base import Embedder
from gpu_worker.picking import pick_again
from gpu_worker.profiles import Profile
from gpu_worker.protocol import Task


@dataclass(frozen=True)
class Embed:
    """Runs the embedding network on a batch.

    Attributes
    ----------
    profile : the one that cut the faces' views.
    """

    embedder: Embedder
    profile: Profile

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Fill in the vectors, and what they say of the faces' quality."""
        faces = [face for task in tasks for _, face in task.picked]
        vectors, qualities = embed_and_score(self.embedder, faces, self.profile)
        start = 0
        for task in tasks:
            end = start + len(task.picked)
            task.vectors = vectors[start:end]
            pick_again(task, qualities[start:end])
            start = end
        for task in tasks:
            # 77 KB each; a task may wait for long until its answer can be kept.
            task.picked = [(number, replace(face, views=())) for number, face in task.picked]
