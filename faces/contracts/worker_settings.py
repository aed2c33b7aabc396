"""The worker's settings."""

from typing import Literal

from pydantic import Field

from faces.contracts.jobs import LEAST_RATE, MOST_RATE
from faces.contracts.settings import PhotoSettings

DEFAULT_FALSE_ACCEPT_RATE = 0.01
DEFAULT_VERIFY_FALSE_ACCEPT_RATE = 0.001


class WorkerSettings(PhotoSettings):
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
        "is decoded alone); 0 takes 8.5 million on a CPU, 256 million on a GPU",
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
        "3 to 4.4 % of the longer side of photos above 640 px",
    )
    cache: str = Field(
        default="",
        alias="WORKER_CACHE",
        description="Folder in which the `cpu` backend keeps its converted networks "
        "(default ~/.cache/elastic-faces)",
    )
    exact_faces: int = Field(
        default=-1,
        ge=-1,
        alias="WORKER_EXACT_FACES",
        description="Faces that a worker keeps in memory and compares with all of; in a larger "
        "gallery the database searches; 1,000 cost 1.8 MB; -1 takes 20,000 on a CPU, with "
        "which a worker stays under 450 MB, and 1,000,000 on a GPU",
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
