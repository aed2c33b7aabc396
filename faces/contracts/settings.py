"""Settings: one typed object a process, read once from the environment.

A wrong value stops the process at its start with an error that names the variable.
`docs/settings.md` lists them all; a test compares it with this module.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from faces.contracts.jobs import LEAST_RATE, MOST_RATE
from faces.contracts.names import StackNames, check_stack_name

MIB = 1024 * 1024
DEFAULT_FALSE_ACCEPT_RATE = 0.01
DEFAULT_VERIFY_FALSE_ACCEPT_RATE = 0.001


def _networks(text: str) -> str:
    for part in filter(None, text.split(",")):
        ipaddress.ip_network(part.strip())
    return text


class SettingsError(ValueError):
    """A process cannot start because its environment is wrong; says which variable."""


class Settings(BaseModel):
    """Base: each field is read from the variable that its alias names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from `environ`; an empty variable counts as not set.

        Raises
        ------
        SettingsError
            Naming every variable that is missing or wrong.
        """
        try:
            return cls.model_validate({key: value for key, value in environ.items() if value})
        except ValidationError as error:
            lines = []
            for problem in error.errors():
                where = ".".join(str(part) for part in problem["loc"])
                lines.append(f"{where}: {problem['msg']}" if where else problem["msg"])
            raise SettingsError("wrong settings: " + "; ".join(lines)) from None


class StackSettings(Settings):
    """What every process of a stack needs."""

    stack: Annotated[str, AfterValidator(check_stack_name)] = Field(
        default="faces-local",
        alias="FACES_STACK",
        description="Name of the stack; prefixes every bucket, queue and instance tag",
    )
    region: str = Field(
        default="us-east-1", alias="AWS_REGION", description="AWS region of the stack"
    )
    log_level: str = Field(
        default="INFO",
        alias="FACES_LOG_LEVEL",
        description="Least severe level that is logged",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
    )

    @property
    def names(self) -> StackNames:
        """Names of the stack's resources."""
        return StackNames(self.stack)


class DatabaseSettings(StackSettings):
    """What a process that reads the gallery needs."""

    database_url: str = Field(
        alias="DATABASE_URL",
        description="PostgreSQL with pgvector, as a libpq URL; with `postgresql+iam://` the "
        "process logs in by its IAM role; where the local stack finds none it starts its own",
        repr=False,
    )
    unmatched_seconds: int = Field(
        default=600,
        ge=10,
        le=86_400,
        alias="FACES_UNMATCHED_SECONDS",
        description="How long an unknown face can be enrolled by its req_id",
    )
    cache_url: str = Field(
        default="",
        alias="CACHE_URL",
        description="Valkey or Redis that keeps results and wakes waiting requests, with "
        "`rediss+iam://<user>@<host>:<port>/<cluster>` logged in to by IAM role; everything "
        "works without one, more slowly (the local stack starts its own)",
        pattern=r"^((rediss?|rediss\+iam|unix)://.+)?$",
        repr=False,
    )
    cache_seconds: int = Field(
        default=3600,
        ge=1,
        le=604_800,
        alias="FACES_CACHE_SECONDS",
        description="How long the cache keeps a result",
    )
    cache_answers: bool = Field(
        default=True,
        alias="FACES_CACHE_ANSWERS",
        description="Whether a photo that was answered before is answered the same again, "
        "without a worker, while its collection has not changed",
    )


class ApiSettings(DatabaseSettings):
    """The front end's settings (every Lambda but the scaler)."""

    api_key_sha256: str = Field(
        default="",
        alias="FACES_API_KEY_SHA256",
        description="SHA-256 (hex) of the key that clients send as X-Api-Key; "
        "without it every request that needs a key is refused",
        pattern="^([0-9a-f]{64})?$",
        repr=False,
    )
    id_secret: str = Field(
        default="",
        alias="FACES_ID_SECRET",
        description="Secret (32 characters or more) from which job ids are signed; "
        "made at deployment, changing it makes open job ids unknown",
        pattern="^(.{32,})?$",
        repr=False,
    )
    max_upload_bytes: int = Field(
        default=10 * MIB,
        ge=1024,
        le=100 * MIB,
        alias="FACES_MAX_UPLOAD_BYTES",
        description="Largest photo file that the upload form lets in, in bytes",
    )
    upload_seconds: int = Field(
        default=900,
        ge=10,
        le=3600,
        alias="FACES_UPLOAD_SECONDS",
        description="How long an upload form is valid",
    )
    max_pixels: int = Field(
        default=100_000_000,
        ge=10_000,
        alias="FACES_MAX_PIXELS",
        description="Photos of more pixels are refused before they are decoded",
    )
    public_url: str = Field(
        default="",
        alias="FACES_PUBLIC_URL",
        description="Address under which clients reach the API; the request's own when empty",
    )
    job_timeout_seconds: int = Field(
        default=345_600,
        ge=60,
        le=1_209_600,
        alias="FACES_JOB_TIMEOUT_SECONDS",
        description="A queued job without a result is answered as failed after this time "
        "(the retention of the queues)",
    )
    webhook_secret: str = Field(
        default="",
        alias="FACES_WEBHOOK_SECRET",
        description="Secret (32 characters or more) from which each tenant's key for signed "
        "callbacks is made; FACES_ID_SECRET when empty",
        pattern="^(.{32,})?$",
        repr=False,
    )
    callback_allow: Annotated[str, AfterValidator(_networks)] = Field(
        default="",
        alias="FACES_CALLBACK_ALLOW",
        description="Networks (CIDR, separated by commas) that callbacks may reach though "
        "they are not public, such as 127.0.0.1/32",
    )
    seed_scope: str = Field(
        default="",
        alias="FACES_SEED_SCOPE",
        description="`<tenant>/<collection>` that requests without a key act for at POST / and "
        "/api/v1; these addresses answer 404 when empty (the local stack sets default/default)",
        pattern="^([A-Za-z0-9][A-Za-z0-9_.-]{0,62}/[A-Za-z0-9][A-Za-z0-9_.-]{0,62})?$",
    )


class WorkerSettings(DatabaseSettings):
    """The worker's settings."""

    worker_id: str = Field(
        default="local",
        alias="WORKER_ID",
        description="The EC2 instance that the worker runs on; on one it asks for itself",
    )
    image: str = Field(
        default="",
        alias="WORKER_IMAGE",
        description="The machine image that the instance was started from, likewise",
    )
    idle_seconds: float = Field(
        default=300,
        gt=0,
        alias="WORKER_IDLE_SECONDS",
        description="A worker that received nothing for so long ends itself",
    )
    batch_size: int = Field(
        default=10,
        ge=1,
        le=10,
        alias="WORKER_BATCH_SIZE",
        description="Messages taken in one receive (SQS allows 10)",
    )
    receivers: int = Field(
        default=0,
        ge=0,
        le=32,
        alias="WORKER_RECEIVERS",
        description="Receives at the same time; 0 takes 2 on a CPU, 8 on a GPU",
    )
    poll_seconds: int = Field(
        default=5,
        ge=0,
        le=20,
        alias="WORKER_POLL_SECONDS",
        description="Longest wait of one receive; a worker that is told to stop ends "
        "after it at the latest (the local stack sets 2)",
    )
    in_hand: int = Field(
        default=0,
        ge=0,
        le=1000,
        alias="WORKER_IN_HAND",
        description="Photos that are in the worker at the same time, waiting ones included; "
        "0 takes 16 on a CPU, 256 on a GPU",
    )
    transfers: int = Field(
        default=0,
        ge=0,
        le=128,
        alias="WORKER_TRANSFERS",
        description="Photos fetched, and results stored, at the same time; 0 takes 4 on a CPU, "
        "32 on a GPU",
    )
    decoders: int = Field(
        default=0,
        ge=0,
        le=64,
        alias="WORKER_DECODERS",
        description="Photos decoded at the same time; 0 takes 2 on a CPU, one for each core "
        "on a GPU",
    )
    pixels_in_hand: int = Field(
        default=0,
        ge=0,
        alias="WORKER_PIXELS_IN_HAND",
        description="Pixels decoded at the same time; bounds the memory (a photo of more "
        "is decoded alone); 0 takes 16 million on a CPU, 256 million on a GPU",
    )
    detect_batch: int = Field(
        default=0,
        ge=0,
        le=1024,
        alias="WORKER_DETECT_BATCH",
        description="Photos that go through the detector at once; 0 takes 1 on a CPU, 32 on a GPU",
    )
    embed_batch: int = Field(
        default=0,
        ge=0,
        le=4096,
        alias="WORKER_EMBED_BATCH",
        description="Faces that go through the embedding network at once; 0 takes 32 on a CPU, "
        "256 on a GPU",
    )
    batch_wait_seconds: float = Field(
        default=0.005,
        ge=0,
        le=1,
        alias="WORKER_BATCH_WAIT_SECONDS",
        description="How long a batch may wait to be filled while more photos are on their "
        "way; a photo that is alone never waits",
    )
    visibility_seconds: int = Field(
        default=60,
        ge=5,
        le=43_200,
        alias="WORKER_VISIBILITY_SECONDS",
        description="How long a received message is hidden from other workers",
    )
    hold_seconds: float = Field(
        default=900,
        gt=0,
        le=43_000,
        alias="WORKER_HOLD_SECONDS",
        description="A photo that is in hand for longer is given up and left to the queue",
    )
    stuck_seconds: float = Field(
        default=300,
        gt=0,
        le=3600,
        alias="WORKER_STUCK_SECONDS",
        description="A worker in which nothing moves for so long hangs, and ends itself; "
        "the slowest photo must take less",
    )
    drain_seconds: float = Field(
        default=20,
        ge=3,
        le=110,
        alias="WORKER_DRAIN_SECONDS",
        description="A worker that is told to stop has finished, or handed back, what is "
        "in hand after this time",
    )
    metadata_url: str = Field(
        default="",
        alias="WORKER_METADATA_URL",
        description="EC2's instance metadata (http://169.254.169.254 on an instance), asked "
        "for spot interruption and rebalance notices and the drain tag; not when empty",
    )
    metrics_seconds: float = Field(
        default=10,
        gt=0,
        alias="WORKER_METRICS_SECONDS",
        description="Time between two lines of metrics in the log",
    )
    profile: Literal["plain", "default", "accurate"] = Field(
        default="default",
        alias="WORKER_PROFILE",
        description="How much work goes into a face; faces that were enrolled with another "
        "profile are not recognised",
    )
    false_accept_rate: float = Field(
        default=DEFAULT_FALSE_ACCEPT_RATE,
        ge=LEAST_RATE,
        le=MOST_RATE,
        alias="FACES_FALSE_ACCEPT_RATE",
        description="Share of strangers' faces that may be answered with somebody of the "
        "collection (identify)",
    )
    verify_false_accept_rate: float = Field(
        default=DEFAULT_VERIFY_FALSE_ACCEPT_RATE,
        ge=LEAST_RATE,
        le=MOST_RATE,
        alias="FACES_VERIFY_FALSE_ACCEPT_RATE",
        description="Share of other people that may be taken for the claimed person (verify)",
    )
    max_upload_bytes: int = Field(
        default=10 * MIB,
        ge=1024,
        le=100 * MIB,
        alias="FACES_MAX_UPLOAD_BYTES",
        description="Largest photo file that the upload form lets in, in bytes",
    )
    max_pixels: int = Field(
        default=100_000_000,
        ge=10_000,
        alias="FACES_MAX_PIXELS",
        description="Photos of more pixels are refused before they are decoded",
    )
    backend: Literal["auto", "reference", "cpu", "cuda"] = Field(
        default="auto",
        alias="WORKER_BACKEND",
        description="Who runs the networks: `cuda` a GPU, `cpu` OpenVINO, `reference` "
        "facenet-pytorch; `auto` takes the fastest that the machine has",
    )
    detection: Literal["exact", "fast"] = Field(
        default="exact",
        alias="WORKER_DETECTION",
        description="`exact` finds what facenet-pytorch finds; `fast` overlooks faces under "
        "3 % of the longer side of photos above 640 px",
    )
    cache: str = Field(
        default="",
        alias="WORKER_CACHE",
        description="Folder in which the `cpu` backend keeps its converted networks "
        "(default ~/.cache/elastic-faces)",
    )
    exact_faces: int = Field(
        default=100_000,
        ge=0,
        alias="WORKER_EXACT_FACES",
        description="Faces that a worker keeps in memory (4 KB each) and compares with all of; "
        "in a larger gallery the database searches",
    )
    hnsw_ef_search: int = Field(
        default=200,
        ge=1,
        le=1000,
        alias="WORKER_HNSW_EF_SEARCH",
        description="How far the database's index looks around: more finds more, and is slower",
    )
    threads: int = Field(
        default=0,
        ge=0,
        alias="WORKER_THREADS",
        description="Threads of the networks; 0 takes one for each core",
    )
    torch_home: str = Field(
        default="",
        alias="TORCH_HOME",
        description="Folder whose checkpoints/ holds the FaceNet weights "
        "(default ~/.cache/torch); a missing file is downloaded there",
    )
