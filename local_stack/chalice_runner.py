"""Run the `chalice` command line; with FACES_EMULATED=1 without waiting for AWS.

    python -P local_stack/chalice_runner.py deploy --stage local

Chalice and botocore's waiters sleep for seconds because a real role or function takes
seconds to become usable. Against the emulator that is most of a deployment's time.
"""

import os
import sys
import time
from typing import Any

import botocore.waiter
import chalice.awsclient
import chalice.cli

_PAUSE = 0.05


def hurry() -> None:
    """Shorten the sleeps of botocore's waiters and of Chalice's client."""
    sleep = time.sleep

    class _Time:
        @staticmethod
        def sleep(_seconds: float) -> None:
            sleep(_PAUSE)

    waiters: Any = botocore.waiter
    waiters.time = _Time
    # The delay is a default argument, bound when the class was made.
    client: Any = chalice.awsclient.TypedAWSClient
    retries = client._call_client_method_with_retries
    retries.__defaults__ = tuple(
        _PAUSE if default == client.DELAY_TIME else default for default in retries.__defaults__
    )


if __name__ == "__main__":
    if os.environ.get("FACES_EMULATED") == "1":
        hurry()
    sys.exit(chalice.cli.main())
