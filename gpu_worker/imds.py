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
from time import monotonic

from faces.contracts.errors import TransientError

log = logging.getLogger(__name__)

TOKEN_SECONDS = 21_600
_TIMEOUT_SECONDS = 1.0
_NOT_FOUND = 404
_UNAUTHORIZED = 401

SPOT_ACTION = "spot/instance-action"
REBALANCE = "events/recommendations/rebalance"


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
            f"{self._url}/latest/meta-data/{urllib.parse.quote(path)}",
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
    """A `DrainSource`: spot interruption, rebalance recommendation, the scaler's drain tag."""

    def __init__(self, metadata: InstanceMetadata, drain_tag: str) -> None:
        self._metadata = metadata
        self._asking = {
            SPOT_ACTION: "spot interruption",
            REBALANCE: "rebalance recommendation",
            f"tags/instance/{drain_tag}": "drain tag",
        }
        self._silent = False

    def asked(self) -> str | None:
        """Return which notice there is, if any; none while the service is silent."""
        try:
            for path, reason in self._asking.items():
                if self._metadata.get(path) is not None:
                    return reason
        except TransientError as error:
            if not self._silent:
                log.warning("%s", error.detail)
            self._silent = True
        else:
            self._silent = False
        return None
