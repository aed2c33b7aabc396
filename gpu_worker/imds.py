"""What EC2 tells an instance about its end, by the instance metadata service, version 2.

Spot interruption and rebalance notices: EC2 user guide, "Spot Instance interruption notices"
and "EC2 instance rebalance recommendations". Tags: "Work with instance tags in instance
metadata", which the launch template must allow (`InstanceMetadataTags`).
"""

import logging
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from time import monotonic, time
from typing import TYPE_CHECKING

from faces.contracts.errors import TransientError
from faces.contracts.names import TAG_DRAIN, TAG_KEEP
from gpu_worker.aws import aws_call

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

log = logging.getLogger(__name__)

TOKEN_SECONDS = 21_600
_TIMEOUT_SECONDS = 1.0
_NOT_FOUND = 404
_UNAUTHORIZED = 401

SPOT_ACTION = "spot/instance-action"
REBALANCE = "events/recommendations/rebalance"
DRAIN_TAG_REASON = "drain tag"


class InstanceMetadata:
    """Reads instance metadata.

    Parameters
    ----------
    url : of the service, `http://169.254.169.254` on EC2.
    clock : monotonic seconds.
    """

    def __init__(self, url: str, clock: Callable[[], float] = monotonic) -> None:
        self._url = url.rstrip("/")
        self._clock = clock
        self._token = ""
        self._token_until = 0.0
        # The address is link-local: no proxy may be asked for it.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def get(self, path: str) -> str | None:
        """Return what is at `latest/meta-data/<path>`, None when there is nothing.

        Raises
        ------
        TransientError
            When the service does not answer.
        """
        request = urllib.request.Request(  # noqa: S310 - the address is a setting
            f"{self._url}/latest/meta-data/{urllib.parse.quote(path, safe='/:')}",
            headers={"X-aws-ec2-metadata-token": self._session()},
        )
        try:
            return self._read(request)
        except urllib.error.HTTPError as error:
            if error.code == _NOT_FOUND:
                return None
            if error.code == _UNAUTHORIZED:
                self._token_until = 0.0
            raise TransientError(f"instance metadata: {error}") from error
        except OSError as error:
            raise TransientError(f"instance metadata: {error}") from error

    def _session(self) -> str:
        if self._clock() >= self._token_until:
            request = urllib.request.Request(  # noqa: S310 - the address is a setting
                f"{self._url}/latest/api/token",
                method="PUT",
                headers={"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)},
            )
            try:
                self._token = self._read(request)
            except OSError as error:
                raise TransientError(f"instance metadata: {error}") from error
            self._token_until = self._clock() + TOKEN_SECONDS / 2
        return self._token

    def _read(self, request: urllib.request.Request) -> str:
        with self._open(request, timeout=_TIMEOUT_SECONDS) as response:
            return str(response.read().decode())


class MetadataNotices:
    """What the instance's metadata say of its end: a `DrainSource`, and a reason to stay.

    Spot interruption, rebalance recommendation, and the scaler's marks, whose values are
    the Unix second at which they expire.

    Parameters
    ----------
    clock : returns seconds since 1970.
    """

    def __init__(self, metadata: InstanceMetadata, clock: Callable[[], float] = time) -> None:
        self._metadata = metadata
        self._clock = clock
        self._silent = False

    def asked(self) -> str | None:
        """Return why the worker should end, or None; None also while nothing answers."""
        if self._get(SPOT_ACTION) is not None:
            return "spot interruption"
        if self._get(REBALANCE) is not None:
            return "rebalance recommendation"
        return DRAIN_TAG_REASON if self.claimed() else None

    def claimed(self) -> bool:
        """Whether the scaler claims the worker, to end it or stop it."""
        return self._marked(TAG_DRAIN)

    def claim_taken_back(self) -> bool:
        """Whether the claim is gone, not merely expired as when nobody is there to end it."""
        return self._get(f"tags/instance/{TAG_DRAIN}") is None and not self._silent

    def kept(self) -> bool:
        """Whether the worker should stay though it is idle."""
        return self._marked(TAG_KEEP)

    def _marked(self, tag: str) -> bool:
        try:
            return float(self._get(f"tags/instance/{tag}") or 0) > self._clock()
        except ValueError:
            return False

    def _get(self, path: str) -> str | None:
        try:
            answer = self._metadata.get(path)
        except TransientError as error:
            if not self._silent:
                log.warning("%s", error.detail)
            self._silent = True
            return None
        self._silent = False
        return answer


class InstanceMarks:
    """Marks on the worker's own instance, for the scaler.

    Parameters
    ----------
    clock : returns seconds since 1970.
    """

    def __init__(
        self, ec2: "EC2Client", instance_id: str, clock: Callable[[], float] = time
    ) -> None:
        self._ec2 = ec2
        self._instance_id = instance_id
        self._clock = clock

    def set(self, tag: str) -> bool:
        """Set a mark to the present second; return whether it is set, a failure is logged."""
        try:
            with aws_call("marking the instance"):
                self._ec2.create_tags(
                    Resources=[self._instance_id],
                    Tags=[{"Key": tag, "Value": f"{self._clock():.0f}"}],
                )
        except TransientError as error:
            log.warning("%s", error.detail)
            return False
        return True
