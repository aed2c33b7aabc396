"""What the handlers need, built once a process and only when first asked for.

Importing the app must neither read settings nor make clients: `chalice package` imports it
on a machine that has neither.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from chalice_app.aws import Objects, Queues, S3Objects, SqsQueues
from chalice_app.callback_address import networks
from chalice_app.operations import Operations
from chalice_app.repeats import Repeats
from chalice_app.results import Results
from chalice_app.webhooks import Webhooks, send_to, webhook_key
from faces.cache.cache import Cache
from faces.cache.valkey import make_cache
from faces.contracts.settings import ApiSettings

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from faces.gallery.audit import AuditLog
    from faces.gallery.database import KeptConnection
    from faces.gallery.gallery import Gallery
    from faces.gallery.keys import KeyStore
    from faces.gallery.transfer import Transfer

# A request has 29 s at API Gateway and makes two calls at most, so each ends within 14 s.
SQS_CLIENT = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
)
# Without these two, upload forms of every region name S3's global address. That answers a
# POST to a young bucket elsewhere with a redirect, which a form cannot follow.
S3_CLIENT = SQS_CLIENT.merge(Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Context:
    """Settings and clients of one process."""

    settings: ApiSettings
    clock: Callable[[], datetime] = utc_now

    @cached_property
    def s3(self) -> "S3Client":
        return boto3.client("s3", region_name=self.settings.region, config=S3_CLIENT)

    @cached_property
    def sqs(self) -> "SQSClient":
        return boto3.client("sqs", region_name=self.settings.region, config=SQS_CLIENT)

    @cached_property
    def ec2(self) -> "EC2Client":
        return boto3.client("ec2", region_name=self.settings.region, config=SQS_CLIENT)

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        return boto3.client("cloudwatch", region_name=self.settings.region, config=SQS_CLIENT)

    @cached_property
    def operations(self) -> Operations:
        return Operations(self.sqs, self.ec2, self.cloudwatch, self.settings.names, self.clock)

    @cached_property
    def objects(self) -> Objects:
        return S3Objects(self.s3)

    @cached_property
    def queues(self) -> Queues:
        return SqsQueues(self.sqs)

    @cached_property
    def results(self) -> Results:
        return Results(self.objects, self.queues, self.settings.names, self.clock, self.cache)

    @cached_property
    def cache(self) -> Cache:
        settings = self.settings
        return make_cache(settings.cache_url, settings.stack, settings.cache_seconds)

    @cached_property
    def repeats(self) -> Repeats:
        return Repeats(
            wanted=self.settings.cache_answers and bool(self.settings.cache_url),
            cache=self.cache,
            gallery=lambda: self.gallery,
            results=self.results,
            clock=self.clock,
        )

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(
            queues=self.queues,
            names=self.settings.names,
            key=lambda tenant: webhook_key(self.settings, tenant).key,
            allowed=networks(self.settings.callback_allow),
            clock=self.clock,
            send=send_to,
        )

    # The gallery is imported when it is first used: notify and the dead letters never open
    # the database, intake only beside a cache, and psycopg costs every cold start a fifth of
    # a second.

    @cached_property
    def connections(self) -> "KeptConnection":
        from faces.gallery.database import KeptConnection

        return KeptConnection(self.settings.database_url)

    @cached_property
    def gallery(self) -> "Gallery":
        from faces.gallery.gallery import Gallery

        return Gallery(self.connections, self.clock)

    @cached_property
    def keys(self) -> "KeyStore":
        from faces.gallery.keys import KeyStore

        return KeyStore(self.connections, self.clock)

    @cached_property
    def audit(self) -> "AuditLog":
        from faces.gallery.audit import AuditLog

        return AuditLog(self.connections)

    @cached_property
    def transfer(self) -> "Transfer":
        from faces.gallery.transfer import Transfer

        return Transfer(self.connections, self.clock)

    def check_database(self) -> None:
        """Raise TransientError when the database does not answer."""
        with self.connections() as connection:
            connection.execute("SELECT 1")


@functools.cache
def context() -> Context:
    """Return this process's context.

    Raises
    ------
    SettingsError
        Naming what is wrong in the environment.
    """
    return Context(ApiSettings.load(os.environ))
