"""Callbacks: a signed message to the client when a job has ended.

A job's end puts one message on the webhooks-queue. Sending it again, after a failure, is a
new message with a delay; after the last attempt it stays on the dead-letter queue. A
receiver may get a callback twice, and tells by the job's id.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from aws_lambda_powertools.metrics import MetricUnit

from chalice_app.aws import Queues
from chalice_app.batch import Received
from chalice_app.callback_address import (
    ForbiddenAddress,
    IpNetwork,
    Resolve,
    Target,
    resolve_target,
)
from chalice_app.jobs import id_secret
from chalice_app.observability import count, logger, metrics
from faces.contracts.jobs import JobDone
from faces.contracts.names import StackNames
from faces.contracts.settings import ApiSettings
from faces.contracts.version import CODE_VERSION
from faces.contracts.webhooks import (
    DELIVERY_HEADER,
    SIGNATURE_HEADER,
    Delivery,
    JobEnded,
    WebhookKey,
    key_id,
    sign,
    tenant_key,
)
from faces.tracing import traced

# After the first attempt; SQS delays a message by 900 s at most. In all about an hour.
RETRY_SECONDS = (5, 30, 120, 300, 600, 900, 900, 900)
_ANSWER_SECONDS = 5.0
_WHOLE_SECONDS = 15.0
_GONE = 410

Send = Callable[[Target, bytes, Mapping[str, str]], int]


def delivery(done: JobDone) -> Delivery | None:
    """Return the callback of a job that has ended; None where nobody asked for one."""
    if done.callback_url is None:
        return None
    ended = JobEnded(
        job_id=done.job_id,
        kind=done.kind,
        state=done.state,
        error_code=done.error_code,
        submitted_at=done.submitted_at,
        finished_at=done.finished_at,
        path=f"/v1/jobs/{done.job_id}",
    )
    return Delivery(
        job_id=done.job_id,
        tenant=done.tenant,
        url=done.callback_url,
        body=ended.model_dump_json(exclude_none=True),
    )


def webhook_key(settings: ApiSettings, tenant: str) -> WebhookKey:
    """Return the key that signs a tenant's callbacks."""
    secret = settings.webhook_secret.encode() or id_secret(settings)
    key = tenant_key(secret, tenant)
    return WebhookKey(key_id=key_id(key), key=key)


@dataclass(frozen=True)
class Webhooks:
    """Sends callbacks.

    Attributes
    ----------
    key : returns the key that signs a tenant's callbacks.
    allowed : networks that may be reached though they are not public.
    clock : returns the present time (aware).
    send : sends one request and returns the status of the answer.
    resolve : returns the addresses of a host; the system's resolver when left out.
    """

    queues: Queues
    names: StackNames
    key: Callable[[str], str]
    allowed: tuple[IpNetwork, ...]
    clock: Callable[[], datetime]
    send: Send
    resolve: Resolve | None = None

    def handle(self, message: Received) -> None:
        """Send one callback, or have it sent again later.

        Raises
        ------
        TransientError
            When the queue did not answer; the message comes again.
        """
        sent = Delivery.model_validate_json(message.body)
        logger.append_keys(job_id=sent.job_id)
        with traced(sent.job_id, "webhook", attempt=str(sent.attempt)):
            self._deliver(sent)

    def _deliver(self, sent: Delivery) -> None:
        try:
            target = resolve_target(sent.url, self.allowed, self.resolve)
            status = self.send(target, sent.body.encode(), self._headers(sent))
        except ForbiddenAddress as error:
            self._give_up(sent, str(error))
            return
        except (OSError, http.client.HTTPException) as error:
            self._again(sent, type(error).__name__)
            return
        if 200 <= status < 300:
            count("Callbacks", {"Outcome": "delivered"})
            logger.info("callback delivered", status=status, attempt=sent.attempt)
        elif status == _GONE:
            self._give_up(sent, "the receiver wants no more of them")
        else:
            # A redirect too: where it leads was not checked.
            self._again(sent, f"status {status}")

    def _headers(self, sent: Delivery) -> dict[str, str]:
        timestamp = int(self.clock().timestamp())
        return {
            "Content-Type": "application/json",
            "User-Agent": f"ElasticFaces/{CODE_VERSION}",
            DELIVERY_HEADER: f"{sent.job_id};attempt={sent.attempt}",
            SIGNATURE_HEADER: sign(self.key(sent.tenant), sent.body.encode(), timestamp),
        }

    def _again(self, sent: Delivery, why: str) -> None:
        if sent.attempt > len(RETRY_SECONDS):
            self._give_up(sent, why)
            return
        delay = RETRY_SECONDS[sent.attempt - 1]
        logger.info(
            "callback failed",
            why=why,
            attempt=sent.attempt,
            again_after=delay,
            host=_host(sent.url),
        )
        metrics.add_metric("CallbackFailures", MetricUnit.Count, 1)
        following = sent.model_copy(update={"attempt": sent.attempt + 1})
        self.queues.send(
            self.names.webhooks_queue, following.model_dump_json(), delay_seconds=delay
        )

    def _give_up(self, sent: Delivery, why: str) -> None:
        """Keep a callback that will not be sent, for people to look at."""
        logger.warning("callback given up", why=why, attempt=sent.attempt, host=_host(sent.url))
        count("Callbacks", {"Outcome": "given_up"})
        self.queues.send(self.names.webhooks_dlq, sent.model_dump_json())


def _host(url: str) -> str | None:
    """Return whose server it is; the rest of an address may hold a secret."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def send_to(target: Target, body: bytes, headers: Mapping[str, str]) -> int:
    """POST to the address that was checked; return the status. No redirect is followed.

    Raises
    ------
    OSError, http.client.HTTPException
        When there is no answer within 15 s, or none that can be read.
    """
    connection = _Pinned(target)
    # A limit on the whole: one on each read would let a slow answer last for ever.
    timer = threading.Timer(_WHOLE_SECONDS, connection.abort)
    timer.daemon = True
    timer.start()
    try:
        connection.request("POST", target.path, body, dict(headers))
        status = connection.getresponse().status
        if connection.aborted:  # what came until then may look like a whole answer
            raise TimeoutError
        return status
    finally:
        timer.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the host's name resolves to by now."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.host, target.port, timeout=_ANSWER_SECONDS)
        self._target = target
        self.aborted = False
        # So that `Host` leaves out the scheme's own port.
        self.default_port = 443 if target.scheme == "https" else 80

    def connect(self) -> None:
        self.sock = socket.create_connection(
            (self._target.address, self._target.port), _ANSWER_SECONDS
        )
        if self._target.scheme == "https":
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self._target.host)

    def abort(self) -> None:
        """End the connection from another thread."""
        self.aborted = True
        if self.sock is not None:
            with contextlib.suppress(OSError):  # it has just ended by itself
                self.sock.shutdown(socket.SHUT_RDWR)
