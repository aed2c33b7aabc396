"""The state between ticks and the lease of its one writer, in one S3 object.

Every write is conditional on the object being the one that was read (`If-Match`), so two
controllers cannot both hold the lease, and one that lost it learns so before it acts. The
lease has an expiry no longer than the function may run, so a controller that died blocks
nobody. Why S3 and not tags or SSM: docs/decisions/0006-scaler-state-and-lease.md.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from scaler.state import ControllerState

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

STATE_KEY = "scaler/state.json"
# An answer that ends in the middle is not even always an error of botocore.
_HALF_ANSWERS = (BotoCoreError, ResponseParserError, KeyError, ValueError)
# The function's timeout: whoever held the lease for longer no longer runs.
LEASE_SECONDS = 60.0


class LeaseHeldError(Exception):
    """Another controller has the lease; try again later."""


class StoreUnavailableError(Exception):
    """The state can be neither read nor written; nothing may be done meanwhile."""


@dataclass
class StateStore:
    """Holds the lease, reads and writes the state.

    Parameters
    ----------
    holder : a name that no other invocation has.
    """

    s3: "S3Client"
    bucket: str
    holder: str
    _etag: str | None = None
    _saved_at: float = 0.0

    def open(self, now: float) -> ControllerState:
        """Take the lease and return the state; a damaged state begins anew.

        Raises
        ------
        LeaseHeldError, StoreUnavailableError
        """
        found = self._read()
        state, damaged = ControllerState(), False
        if found is None:
            self._etag = None
        else:
            self._etag, document = found
            lease = document.get("lease", {})
            # One that lasts for much longer was taken by a clock that was ahead.
            held = now < float(lease.get("until", 0)) <= now + 2 * LEASE_SECONDS
            if lease.get("holder") != self.holder and held:
                raise LeaseHeldError(f"held by {lease.get('holder')} until {lease.get('until')}")
            try:
                state = ControllerState.from_json(json.dumps(document["state"]))
            except (ValueError, KeyError):
                damaged = True
        if damaged:
            # Launches that EC2 does not show yet are forgotten: look for a while first.
            state = ControllerState(backoff_until=now + LEASE_SECONDS)
        self.save(state, now)
        return state

    def save(self, state: ControllerState, now: float) -> None:
        """Write the state and renew the lease.

        Raises
        ------
        LeaseHeldError
            When another controller wrote meanwhile.
        StoreUnavailableError
        """
        self._write(state, now, now + LEASE_SECONDS)
        self._saved_at = now

    def due(self, now: float) -> bool:
        """Whether the lease should be renewed though nothing happened."""
        return abs(now - self._saved_at) > LEASE_SECONDS / 3

    def close(self, state: ControllerState, now: float) -> None:
        """Write the state and give the lease back."""
        self._write(state, now, 0.0)
        self._etag = None

    def _write(self, state: ControllerState, now: float, until: float) -> None:
        lease = {"holder": self.holder, "until": until, "written": now}
        body = json.dumps({"lease": lease, "state": json.loads(state.to_json())}).encode()
        if not self._put(body):
            # Refused; perhaps because an earlier write of ours went through unanswered.
            found = self._read()
            if found is None or found[1].get("lease", {}).get("holder") != self.holder:
                raise LeaseHeldError("another controller wrote the state")
            self._etag = found[0]
            if not self._put(body):
                raise LeaseHeldError("another controller wrote the state")

    def _put(self, body: bytes) -> bool:
        """Write if the object is the known one; return whether it was."""
        condition: dict[str, Any] = (
            {"IfNoneMatch": "*"} if self._etag is None else {"IfMatch": self._etag}
        )
        try:
            answer = self.s3.put_object(
                Bucket=self.bucket,
                Key=STATE_KEY,
                Body=body,
                ContentType="application/json",
                **condition,
            )
            self._etag = answer["ETag"]
        except ClientError as error:
            if _code(error) in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                return False
            raise StoreUnavailableError(str(error)) from error
        except _HALF_ANSWERS as error:
            raise StoreUnavailableError(str(error)) from error
        return True

    def _read(self) -> tuple[str, dict[str, Any]] | None:
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=STATE_KEY)
            etag, body = answer["ETag"], answer["Body"].read()
            # Of a head that ends too early the lines are taken that came: then no length
            # says that the body is missing.
            if len(body) != answer["ContentLength"]:
                raise StoreUnavailableError("the state came only in part")
        except ClientError as error:
            if _code(error) in ("NoSuchKey", "404"):
                return None
            raise StoreUnavailableError(str(error)) from error
        except _HALF_ANSWERS as error:
            raise StoreUnavailableError(str(error)) from error
        try:
            document = json.loads(body)
        except ValueError:
            document = {}
        return etag, document if isinstance(document, dict) else {}


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
