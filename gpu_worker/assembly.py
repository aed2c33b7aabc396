"""Puts a worker together from its settings."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import numpy as np
from botocore.config import Config

from faces.contracts.settings import WorkerSettings
from faces.gallery.database import KeptConnection
from faces.gallery.gallery import Gallery
from gpu_worker.answers import Answerer
from gpu_worker.aws import aws_call
from gpu_worker.backends.base import Detector, Embedder
from gpu_worker.backends.reference import (
    FaceNetEmbedder,
    MtcnnDetector,
    choose_device,
    set_threads,
)
from gpu_worker.crop import CROP_PX
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.index import GalleryIndex
from gpu_worker.jobs import JobRunner
from gpu_worker.logs import set_up_logging
from gpu_worker.publish import S3Results, SqsAnnouncer
from gpu_worker.queue import SqsQueue
from gpu_worker.shutdown import Shutdown
from gpu_worker.uploads import S3Uploads
from gpu_worker.worker import Pace, Worker

log = logging.getLogger(__name__)

EXIT_STUCK = 5


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


@contextmanager
def assemble(settings: WorkerSettings, weights: Path) -> Iterator[Worker]:
    """Hand out a warm worker that listens to signals; close what it opened at the end.

    Raises
    ------
    ModelUnusableError
        When the weights are damaged.
    TransientError
        When the queues cannot be found.
    """
    set_up_logging(settings.log_level, stack=settings.stack, worker_id=settings.worker_id)
    shutdown = Shutdown()
    shutdown.install()
    set_threads(settings.threads)
    device = choose_device()
    detector, embedder = MtcnnDetector(device), FaceNetEmbedder(weights, device)
    warm_up(detector, embedder)

    names = settings.names
    config = Config(
        connect_timeout=5,
        read_timeout=30,  # above the longest poll
        retries={"mode": "standard", "max_attempts": 3},
    )
    session = boto3.Session(region_name=settings.region)
    s3 = session.client("s3", config=config)
    sqs = session.client("sqs", config=config)
    with aws_call("finding the queues"):
        requests = sqs.get_queue_url(QueueName=names.req_queue)["QueueUrl"]
        responses = sqs.get_queue_url(QueueName=names.resp_queue)["QueueUrl"]

    queue = SqsQueue(sqs, requests, settings.visibility_seconds)
    connection = KeptConnection(settings.database_url)
    gallery = Gallery(connection, utc_now)
    index = GalleryIndex(gallery, embedder.model.tag)
    runner = JobRunner(
        uploads=S3Uploads(s3, names.in_bucket, settings.max_upload_bytes),
        results=S3Results(s3, names.out_bucket),
        announcer=SqsAnnouncer(sqs, responses),
        detector=detector,
        answerer=Answerer(
            embedder=embedder,
            gallery=gallery,
            index=index,
            threshold=settings.match_threshold,
            unmatched_for=timedelta(seconds=settings.unmatched_seconds),
            clock=utc_now,
        ),
        max_pixels=settings.max_pixels,
        worker_id=settings.worker_id,
        clock=utc_now,
    )
    heartbeat = Heartbeat(queue, settings.visibility_seconds, _give_up)
    pace = Pace(settings.batch_size, settings.poll_seconds, settings.idle_seconds)
    log.info("worker is ready", extra={"model": embedder.model.tag, "device": str(device)})
    try:
        yield Worker(queue, runner, index, heartbeat, shutdown, pace)
    finally:
        connection.close()


def warm_up(detector: Detector, embedder: Embedder) -> None:
    """Run both networks once: the first call allocates and chooses algorithms."""
    blank = np.zeros((CROP_PX, CROP_PX, 3), dtype=np.uint8)
    detector.detect([blank])
    embedder.embed([blank])


def _give_up() -> None:
    """End the process though its main thread hangs; its messages reappear by themselves."""
    logging.shutdown()
    os._exit(EXIT_STUCK)
