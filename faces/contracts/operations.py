"""What operators see: queues, the fleet, their last minutes, and a tenant's recent jobs."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from faces.contracts.base import Document, StoredDocument
from faces.contracts.errors import ErrorInfo
from faces.contracts.jobs import JobKind, JobState

MAX_RECENT = 100
MAX_MINUTES = 180


class RecentQuery(Document):
    """The query of `GET /v1/jobs`; `limit` is how many jobs are answered at most."""

    limit: int = Field(default=50, ge=1, le=MAX_RECENT)


class RecentJob(StoredDocument):
    """A job in a few words; who was recognised is only in its result.

    Attributes
    ----------
    kind, collection, file_name : known once the job has ended.
    faces, known : how many were found, and how many of these were recognised.
    cached : answered without a worker.
    submitted_at, finished_at : UTC.
    """

    job_id: str
    state: JobState
    submitted_at: datetime
    finished_at: datetime | None = None
    kind: JobKind | None = None
    collection: str | None = None
    file_name: str | None = None
    faces: int = 0
    known: int = 0
    cached: bool = False
    worker_id: str | None = None
    error: ErrorInfo | None = None


class RecentJobs(StoredDocument):
    """The tenant's jobs with a photo, the newest first.

    Attributes
    ----------
    complete : whether there are no older ones beside these; False where the search ended
        earlier.
    """

    jobs: tuple[RecentJob, ...]
    complete: bool


class OperationsQuery(Document):
    """The query of `GET /v1/operations`.

    Attributes
    ----------
    minutes : of history to answer with; each costs CloudWatch requests, so ask seldom.
    """

    minutes: int = Field(default=0, ge=0, le=MAX_MINUTES)


class WorkerState(StrEnum):
    """Where an instance stands, as its state and tags in EC2 say."""

    BOOTING = "booting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"


class FleetWorker(StoredDocument):
    """One instance of the fleet.

    Attributes
    ----------
    launched_at : UTC.
    """

    instance_id: str
    name: str
    state: WorkerState
    instance_type: str
    spot: bool = False
    launched_at: datetime


class Queues(StoredDocument):
    """How many messages wait where.

    Attributes
    ----------
    arriving : uploads that were not looked at yet, waiting or in hand.
    waiting : jobs that no worker has.
    in_flight : jobs in the hands of workers.
    dead : jobs and uploads that were given up and not yet answered.
    """

    arriving: int
    waiting: int
    in_flight: int
    dead: int


class Minute(StoredDocument):
    """One minute of the stack as CloudWatch knows it; what it does not know is left out.

    Attributes
    ----------
    at : the minute's start, UTC.
    backlog, oldest_seconds : of the req-queue, at most.
    running, booting, desired : instances, at most.
    finished : jobs that ended.
    p50_seconds, p95_seconds : from a job's start to its end.
    """

    at: datetime
    backlog: float | None = None
    oldest_seconds: float | None = None
    running: float | None = None
    booting: float | None = None
    desired: float | None = None
    finished: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None


class OperationsView(StoredDocument):
    """The whole stack at this moment.

    Attributes
    ----------
    queues, fleet, history : None where AWS did not answer; history also unless asked for.
    """

    at: datetime
    stack: str
    queues: Queues | None = None
    fleet: tuple[FleetWorker, ...] | None = None
    history: tuple[Minute, ...] | None = None
