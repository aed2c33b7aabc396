"""Credentials of local workers, kept fresh as an instance profile keeps them on EC2.

A role's session ends after twelve hours; a worker may live longer. The AWS SDK asks a
`credential_process` again before what it got expires (SDK and tools reference guide,
"Process credential provider"); here the process prints a file that the stack renews.
"""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from local_stack.settings import write_private

# Of twelve hours; the SDK wants new ones a quarter of an hour before the end.
_VALID_SECONDS = 11 * 3600.0
_RENEW_SECONDS = 4 * 3600.0


class WorkerCredentials:
    """Writes the credentials of all workers of a stack into `folder`.

    Parameters
    ----------
    make : returns `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` of
        a new session of twelve hours, beside other AWS_* variables.
    clock : seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        make: Callable[[], Mapping[str, str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = folder / "worker-credentials.json"
        self._config = folder / "worker-aws-config"
        self._make = make
        self._clock = clock
        self._made_at: float | None = None

    def renew(self, *, at_once: bool = False) -> None:
        """Write new credentials unless those that are there are young; at once, even then."""
        now = self._clock()
        if not at_once and self._made_at is not None and now - self._made_at < _RENEW_SECONDS:
            return
        made = self._make()
        expires = datetime.fromtimestamp(now + _VALID_SECONDS, UTC)
        document = {
            "Version": 1,
            "AccessKeyId": made["AWS_ACCESS_KEY_ID"],
            "SecretAccessKey": made["AWS_SECRET_ACCESS_KEY"],
            "SessionToken": made["AWS_SESSION_TOKEN"],
            "Expiration": expires.isoformat(),
        }
        write_private(self._file, json.dumps(document))
        write_private(self._config, f'[default]\ncredential_process = cat "{self._file}"\n')
        self._made_at = now

    def environment(self) -> dict[str, str]:
        """Return the variables by which the SDK finds the credentials."""
        return {
            "AWS_CONFIG_FILE": str(self._config),
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
