"""The stages in a row, with their sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gpu_worker.backends.base import Detector, Embedder
from gpu_worker.breaker import Breaker
from gpu_worker.profiles import Profile
from gpu_worker.protocol import Stage, Task
from gpu_worker.publish import ResultStore
from gpu_worker.sizes import Sizes
from gpu_worker.stages.announce import Announce
from gpu_worker.stages.crop import Crop
from gpu_worker.stages.decode import Decode, PixelBudget
from gpu_worker.stages.detect import Detect
from gpu_worker.stages.embed import Embed
from gpu_worker.stages.fetch import Fetch
from gpu_worker.stages.match import Match
from gpu_worker.stages.store import Store
from gpu_worker.uploads import UploadStore

_ANNOUNCE_BATCH = 10  # what SQS takes in one call


@dataclass(frozen=True)
class Breakers:
    """One for each dependency."""

    s3: Breaker
    sqs: Breaker
    database: Breaker

    @classmethod
    def make(cls) -> "Breakers":
        """Return closed breakers."""
        return cls(Breaker("S3"), Breaker("SQS"), Breaker("PostgreSQL"))

    def all(self) -> tuple[Breaker, ...]:
        """Return all of them."""
        return self.s3, self.sqs, self.database


@dataclass(frozen=True)
class Parts:
    """What the stages work with.

    Attributes
    ----------
    profile : how faces are cut and their vectors put together.
    max_pixels : photos of more are refused before they are decoded.
    worker_id, image : stand in the result.
    clock : returns the time, aware.
    """

    uploads: UploadStore
    results: ResultStore
    detector: Detector
    embedder: Embedder
    profile: Profile
    match: Match
    announce: Announce
    max_pixels: int
    worker_id: str
    clock: Callable[[], datetime]
    image: str | None = None


def stages(parts: Parts, sizes: Sizes, breakers: Breakers) -> tuple[Stage, ...]:
    """Return the stages in order.

    Before detection, whose results are dear, a task can still be handed back.
    """
    detect_room = 2 * sizes.detect_batch
    embed_room = 2 * max(sizes.embed_batch, sizes.detect_batch)
    return (
        Stage(
            "fetch",
            Fetch(parts.uploads, parts.results),
            timed_as="fetch",
            threads=sizes.transfers,
            capacity=1024,  # messages only; those in hand are counted
            needs=breakers.s3,
            recallable=True,
        ),
        Stage(
            "decode",
            Decode(PixelBudget(sizes.pixels), parts.max_pixels),
            timed_as="decode",
            threads=sizes.decoders,
            capacity=max(2, sizes.decoders),
            wants=_unsettled,
            recallable=True,
        ),
        Stage(
            "detect",
            Detect(parts.detector),
            timed_as="detect",
            batch=sizes.detect_batch,
            linger_seconds=sizes.linger_seconds if sizes.detect_batch > 1 else 0.0,
            capacity=detect_room,
            wants=_unsettled,
            recallable=True,
            vital=True,
        ),
        Stage(
            "crop",
            Crop(parts.profile),
            timed_as="detect",
            threads=sizes.croppers,
            capacity=detect_room,
            wants=_unsettled,
        ),
        Stage(
            "embed",
            Embed(parts.embedder, parts.profile),
            timed_as="embed",
            batch=sizes.embed_batch,
            linger_seconds=sizes.linger_seconds,
            capacity=embed_room,
            weigh=lambda task: len(task.picked),
            wants=_has_faces,
            vital=True,
        ),
        Stage(
            "match",
            parts.match,
            timed_as="match",
            batch=sizes.embed_batch,
            capacity=embed_room,
            weigh=lambda task: len(task.picked),
            wants=_has_faces,
            needs=breakers.database,
        ),
        Stage(
            "store",
            Store(
                parts.results,
                parts.profile.model(parts.embedder.model),
                parts.worker_id,
                parts.clock,
                parts.image,
            ),
            threads=sizes.transfers,
            capacity=embed_room,
            needs=breakers.s3,
        ),
        Stage(
            "announce",
            parts.announce,
            batch=_ANNOUNCE_BATCH,
            capacity=embed_room,
            needs=breakers.sqs,
        ),
    )


def _unsettled(task: Task) -> bool:
    return not task.settled


def _has_faces(task: Task) -> bool:
    return not task.settled and bool(task.picked)
