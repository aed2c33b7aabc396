"""Puts a worker together from its settings."""

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import boto3
from botocore.config import Config

from faces.cache.valkey import make_cache
from faces.contracts.names import TAG_DRAINED, TAG_READY
from faces.contracts.worker_settings import WorkerSettings
from faces.gallery.approximate import DatabaseSearch
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from gpu_worker.attempts import S3Attempts
from gpu_worker.aws import aws_call
from gpu_worker.backends.choice import Backend
from gpu_worker.calibration import load_calibration
from gpu_worker.coordinator import Coordinator
from gpu_worker.fence import FencedResults
from gpu_worker.hands import Hands
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.imds import DRAIN_TAG_REASON, InstanceMarks, InstanceMetadata, MetadataNotices
from gpu_worker.index import GalleryIndex
from gpu_worker.logs import set_up_logging
from gpu_worker.matching import Decisions
from gpu_worker.metrics import Metrics
from gpu_worker.pipeline import Breakers, Parts, stages
from gpu_worker.profiles import PROFILES
from gpu_worker.publish import PUBLISHING, S3Results, SqsAnnouncer
from gpu_worker.queue import SqsQueue
from gpu_worker.receiver import Receiver
from gpu_worker.remembering import CachedResults, fingerprint_of
from gpu_worker.search import LimitedSearch
from gpu_worker.shutdown import Shutdown, stay, watch
from gpu_worker.sizes import sizes_for
from gpu_worker.stages.announce import Announce
from gpu_worker.stages.match import Match
from gpu_worker.uploads import S3Uploads
from gpu_worker.worker import Ending, Pace, Worker

log = logging.getLogger(__name__)

EXIT_STUCK = 5
_NOTICE_SECONDS = 5.0
"""EC2 gives notice two minutes before; its documentation advises to ask every 5 s."""


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def work(settings: WorkerSettings, load_backend: Callable[[], Backend]) -> Ending:
    """Run a worker to its end; one that is rescued from a drain begins anew.

    Raises what `assemble` does.
    """
    load_once = functools.cache(load_backend)
    while True:
        with assemble(settings, load_once) as worker:
            ending = worker.run()
        if ending is not Ending.RESCUED:
            return ending
        log.info("the claim was taken back: the worker goes on")


@contextmanager
def assemble(settings: WorkerSettings, load_backend: Callable[[], Backend]) -> Iterator[Worker]:
    """Hand out a warm worker that listens to signals; close what it opened at the end.

    Parameters
    ----------
    load_backend : loads the networks, when logs and signals are set up.

    Raises
    ------
    ModelUnusableError
        When the networks cannot be loaded.
    TransientError
        When the queues cannot be found.
    """
    set_up_logging(settings.log_level, stack=settings.stack, worker_id=settings.worker_id)
    shutdown = Shutdown()
    shutdown.install()
    backend = load_backend()

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    sizes = sizes_for(settings, gpu=backend.choice.name == "cuda", cores=cores)
    names = settings.names
    config = Config(
        connect_timeout=5,
        read_timeout=30,  # above the longest poll
        retries={"mode": "standard", "max_attempts": 3},
        max_pool_connections=2 * sizes.transfers + sizes.receivers + 4,
    )
    session = boto3.Session(region_name=settings.region)
    s3 = session.client("s3", config=config)
    results_s3 = session.client("s3", config=config.merge(PUBLISHING))
    sqs = session.client("sqs", config=config)
    with aws_call("finding the queues"):
        requests = sqs.get_queue_url(QueueName=names.req_queue)["QueueUrl"]
        responses = sqs.get_queue_url(QueueName=names.resp_queue)["QueueUrl"]

    queue = SqsQueue(sqs, requests, settings.visibility_seconds)
    connection = KeptConnection(settings.database_url)
    gallery = Gallery(connection, utc_now)
    profile = PROFILES[settings.profile]
    tag = profile.model(backend.embedder.model).tag
    index = LimitedSearch(
        lambda: GalleryIndex(gallery, tag, backend.make_nearest),
        DatabaseSearch(connection, tag, settings.hnsw_ef_search),
        sizes.exact_faces,
    )
    cache = make_cache(settings.cache_url, settings.stack, settings.cache_seconds)
    rates = settings.false_accept_rate, settings.verify_false_accept_rate
    decisions = Decisions(load_calibration(profile.crop_version), *rates)
    mark = fingerprint_of(profile.model(backend.embedder.model), settings)
    breakers = Breakers.make()
    heartbeat = Heartbeat(
        queue,
        settings.visibility_seconds,
        settings.hold_seconds,
        _give_up,
        stuck_seconds=settings.stuck_seconds,
    )
    metrics = Metrics(
        settings.stack, settings.worker_id, breakers.all(), _print, image=settings.image
    )
    attempts = S3Attempts(results_s3, names.out_bucket)
    hands = Hands(queue, heartbeat, sizes.in_hand, breakers.all(), attempts, on_end=metrics.ended)
    parts = Parts(
        uploads=S3Uploads(s3, names.in_bucket, settings.max_upload_bytes),
        results=FencedResults(
            CachedResults(S3Results(results_s3, names.out_bucket), cache, mark),
            lambda: Gallery(KeptConnection(settings.database_url), utc_now),
        ),
        detector=backend.detector,
        embedder=backend.embedder,
        profile=profile,
        match=Match(
            gallery=gallery,
            search=index,
            model_tag=tag,
            decisions=decisions,
            unmatched_for=timedelta(seconds=settings.unmatched_seconds),
            clock=utc_now,
        ),
        announce=Announce(SqsAnnouncer(sqs, responses), queue, heartbeat.drop),
        max_pixels=settings.max_pixels,
        worker_id=settings.worker_id,
        image=settings.image or None,
        clock=utc_now,
    )
    coordinator = Coordinator(
        stages(parts, sizes, breakers),
        hands,
        metrics,
        on_broken=lambda name: shutdown.request(f"{name} fails for every photo"),
    )
    receivers = [
        Receiver(
            queue,
            hands,
            coordinator.submit,
            breakers.sqs,
            settings.batch_size,
            settings.poll_seconds,
        )
        for _ in range(sizes.receivers)
    ]
    notices: MetadataNotices | None = None
    marks: InstanceMarks | None = None
    if settings.metadata_url:  # else this is no instance of EC2
        notices = MetadataNotices(InstanceMetadata(settings.metadata_url))
        marks = InstanceMarks(session.client("ec2", config=config), settings.worker_id)
    pace = Pace(settings.idle_seconds, settings.drain_seconds, settings.metrics_seconds)
    cache.work_as(mark)
    log.info(
        "worker is ready",
        extra={
            "model": tag,
            "backend": backend.choice.name,
            "device": backend.device,
            "because": backend.choice.reason,
        },
    )
    try:
        yield Worker(
            hands,
            heartbeat,
            coordinator,
            receivers,
            index,
            breakers.database,
            shutdown,
            pace,
            background=() if notices is None else [lambda: _watch(notices, shutdown)],
            flush=metrics.flush,
            kept=lambda: notices is not None and notices.kept(),
            on_ready=lambda: None if marks is None else marks.set(TAG_READY),
            rescued=lambda: _rescued(notices, marks, shutdown),
        )
    finally:
        connection.close()


def _rescued(
    notices: MetadataNotices | None, marks: InstanceMarks | None, shutdown: Shutdown
) -> bool:
    """Confirm a drain and wait to be ended; return whether the claim was taken back."""
    if notices is None or marks is None or shutdown.reason != DRAIN_TAG_REASON:
        return False
    if notices.claimed() and not (
        marks.set(TAG_DRAINED) and stay(notices.claimed, shutdown, _NOTICE_SECONDS)
    ):
        return False
    return notices.claim_taken_back()


def _watch(notices: MetadataNotices, shutdown: Shutdown) -> None:
    watch([notices], shutdown, _NOTICE_SECONDS)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _give_up() -> None:
    """End the process though its main thread hangs; its messages reappear by themselves."""
    logging.shutdown()
    os._exit(EXIT_STUCK)
