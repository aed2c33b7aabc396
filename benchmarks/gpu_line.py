"""The worker's own stages on a device, fed from memory: from JPEG bytes to a match.

What is left out is what no GPU changes: S3, SQS and the database.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from faces.contracts.jobs import ContentType, JobMessage, JobRequest
from gpu_worker.backends.base import Detector, Embedder
from gpu_worker.coordinator import Coordinator
from gpu_worker.index import CollectionIndex
from gpu_worker.profiles import PLAIN, Profile
from gpu_worker.protocol import Stage, Task
from gpu_worker.queue import Received
from gpu_worker.sizes import Sizes
from gpu_worker.stages.crop import Crop
from gpu_worker.stages.decode import Decode, PixelBudget
from gpu_worker.stages.detect import Detect
from gpu_worker.stages.embed import Embed

MAX_PIXELS = 100_000_000
CANDIDATES = 4


@dataclass
class Custodian:
    """Counts the photos in hand; lets only so many in."""

    room: threading.Semaphore
    ended_tasks: list[Task] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def ours(self, task: Task) -> bool:
        """Nobody takes photos away."""
        return True

    def progress(self) -> None:
        """Nobody watches."""

    def ended(self, task: Task) -> None:
        """Keep the task, and let another one in."""
        with self.changed:
            self.ended_tasks.append(task)
            self.changed.notify_all()
        self.room.release()


class Clock:
    """Adds up what the stages take, in seconds of their threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def stage(self, name: str, seconds: float, tasks: int) -> None:
        """Note a step."""
        with self._lock:
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds


class Line:
    """Stages that recognise photos, as a worker runs them.

    Parameters
    ----------
    index : who is known.
    profile : how faces are cut.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        index: CollectionIndex,
        sizes: Sizes,
        profile: Profile = PLAIN,
    ) -> None:
        self._custodian = Custodian(threading.Semaphore(sizes.in_hand))
        self.clock = Clock()
        room = 2 * max(sizes.detect_batch, sizes.embed_batch)

        def match(tasks: Sequence[Task]) -> None:
            vectors = np.concatenate([task.vectors for task in tasks])
            found = iter(index.search(vectors, CANDIDATES))
            for task in tasks:
                for number, _ in task.picked:
                    self.answers.append((task.job.job_id, number, next(found)[0].person_id))

        self.answers: list[tuple[str, int, str]] = []
        stages = [
            Stage(
                "decode",
                Decode(PixelBudget(sizes.pixels), MAX_PIXELS),
                threads=sizes.decoders,
                capacity=sizes.in_hand,
            ),
            Stage(
                "detect",
                Detect(detector),
                batch=sizes.detect_batch,
                linger_seconds=sizes.linger_seconds,
                capacity=room,
            ),
            Stage("crop", Crop(profile), threads=sizes.croppers, capacity=room),
            Stage(
                "embed",
                Embed(embedder, profile),
                batch=sizes.embed_batch,
                linger_seconds=sizes.linger_seconds,
                capacity=room,
                weigh=lambda task: len(task.picked),
                wants=lambda task: bool(task.picked),
            ),
            Stage(
                "match",
                match,
                batch=sizes.embed_batch,
                capacity=room,
                weigh=lambda task: len(task.picked),
                wants=lambda task: bool(task.picked),
            ),
        ]
        self._coordinator = Coordinator(stages, self._custodian, self.clock)
        self._coordinator.start()
        self._number = 0

    def run(self, photos: Sequence[bytes], count: int) -> list[Task]:
        """Recognise `count` photos, the given ones in turn; return their tasks."""
        self._custodian.ended_tasks.clear()
        self.answers.clear()
        self.clock.seconds.clear()
        for _ in range(count):
            self._custodian.room.acquire()
            self._number += 1
            self._coordinator.submit(_task(photos[self._number % len(photos)], self._number))
        with self._custodian.changed:
            self._custodian.changed.wait_for(lambda: len(self._custodian.ended_tasks) == count)
        return list(self._custodian.ended_tasks)

    def close(self) -> None:
        """End the threads."""
        self._coordinator.close(10)


def _task(photo: bytes, number: int) -> Task:
    name = f"photo-{number}"
    task = Task(
        message=Received(name, name, "", 1),
        job=JobMessage.model_construct(job_id=name, key=name, size=len(photo)),
        request=JobRequest(content_type=ContentType.JPEG),
    )
    task.data = photo
    return task
