"""What the parts of the pipeline say to each other: a photo in hand, and a stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.jobs import JobMessage, JobRequest
from faces.contracts.results import DetectedFace, Enrolment, JobResult, PhotoInfo, Verification
from gpu_worker.analysis import Face
from gpu_worker.backends.base import EMBEDDING_SIZE, Detection, FloatArray
from gpu_worker.breaker import Breaker
from gpu_worker.photos import Photo
from gpu_worker.queue import Received
from gpu_worker.timings import Timings

_FIRST_RETRY_SECONDS = 10
_LAST_RETRY_SECONDS = 300


def retry_delay(receive_count: int) -> int:
    """Return after how many seconds a message that failed is tried again.

    10, 20, 40, ... at most 300 seconds.
    """
    return min(_LAST_RETRY_SECONDS, _FIRST_RETRY_SECONDS << min(receive_count - 1, 10))


def no_vectors() -> FloatArray:
    """Return (0, 512) float32."""
    return np.empty((0, EMBEDDING_SIZE), dtype=np.float32)


@dataclass(eq=False)
class Task:
    """A photo in hand, and what is known of its job so far.

    Each stage reads what the one before wrote; one thread has a task at a time.

    Attributes
    ----------
    data : the file's bytes, until they are decoded.
    photo : its pixels, until the faces are cut out.
    info : of the photo, from when it was decoded.
    faces : what the result says of the faces, the largest first.
    left_out : what it says of those that the job is not about.
    picked : the faces to embed, each with its place in `faces`.
    concerns : what advises against an enrolment that is forced.
    vectors : (len(picked), 512) float32, unit length.
    error : why the job fails.
    result : set once it is stored.
    announced : whether the front end was told.
    retry_seconds : set when the message is handed back instead.
    at_fault : whether that is for what the photo did, not for what is away.
    """

    message: Received
    job: JobMessage
    timings: Timings = field(default_factory=Timings)
    request: JobRequest = field(default_factory=JobRequest)
    data: bytes = b""
    photo: Photo | None = None
    info: PhotoInfo | None = None
    detections: Sequence[Detection] = ()
    faces: tuple[DetectedFace, ...] = ()
    left_out: tuple[DetectedFace, ...] = ()
    picked: Sequence[tuple[int, Face]] = ()
    concerns: tuple[ErrorCode, ...] = ()
    vectors: FloatArray = field(default_factory=no_vectors)
    enrolment: Enrolment | None = None
    verification: Verification | None = None
    error: FacesError | None = None
    result: JobResult | None = None
    announced: bool = False
    retry_seconds: int | None = None
    at_fault: bool = False
    on_drop: Callable[[], None] | None = None

    @property
    def settled(self) -> bool:
        """Whether the answer is known; only writing and telling it is left."""
        return self.error is not None or self.result is not None

    def fail(self, error: FacesError) -> None:
        """End the job in an error; what is known until then stands in the result."""
        self.error = error

    def hand_back(self, seconds: int, *, at_fault: bool = False) -> None:
        """Leave the message to the queue; it is visible again after so many seconds."""
        self.retry_seconds = seconds
        self.at_fault = at_fault

    def keep_photo(self, photo: Photo, on_drop: Callable[[], None]) -> None:
        """Take pixels in hand; `on_drop` is called when they are let go."""
        self.photo, self.info, self.on_drop = photo, photo.info, on_drop

    def drop_photo(self) -> None:
        """Let go of bytes and pixels; harmless when there are none."""
        self.data, self.photo = b"", None
        on_drop, self.on_drop = self.on_drop, None
        if on_drop is not None:
            on_drop()


# The work of a stage. Raises FacesError when the (single) task's job ends in an error,
# TransientError when the stage's dependency is away. Doing the same tasks again must be
# harmless.
Step = Callable[[Sequence[Task]], None]


def _always(_: Task) -> bool:
    return True


@dataclass(frozen=True)
class Stage:
    """A step, and how it is run.

    Attributes
    ----------
    name : for metrics and log.
    timed_as : under which name the result shows the stage's time; None for not at all.
    batch : largest weight of the tasks that are worked on at once.
    linger_seconds : how long a batch may wait to be filled.
    capacity : the weight from which no further task may wait before the stage.
    weigh : what a task counts towards `batch` and `capacity`.
    wants : whether a task goes through the stage.
    needs : the dependency that the step calls.
    recallable : whether a task that only waits here is handed back when the worker ends.
    vital : whether it runs the networks, whose failing for one photo after the other says that
        the machine is broken and not the photos.
    """

    name: str
    step: Step
    timed_as: str | None = None
    threads: int = 1
    batch: int = 1
    linger_seconds: float = 0.0
    capacity: int = 4
    weigh: Callable[[Task], int] = lambda _: 1
    wants: Callable[[Task], bool] = _always
    needs: Breaker | None = None
    recallable: bool = False
    vital: bool = False
