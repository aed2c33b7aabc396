"""The EC2 emulator: moto's server, of which only EC2 is used."""

import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from local_stack.emulator import root_session
from local_stack.service import ChildProcess, answers

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def ec2_service(port: int, log: Path) -> ChildProcess:
    """Return the EC2 emulator on 127.0.0.1:`port`; it forgets everything when it ends."""
    return ChildProcess(
        name="EC2 emulator",
        argv=[sys.executable, "-m", "local_stack.ec2", str(port)],
        env={
            "PATH": os.environ.get("PATH", ""),
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "PYTHONUNBUFFERED": "1",
        },
        log=log,
        ready=lambda: answers(f"http://127.0.0.1:{port}/moto-api/data.json"),
    )


def ec2_client(endpoint_url: str, region: str) -> "EC2Client":
    """Return a client of the EC2 emulator that gives up soon: its caller asks again anyway."""
    return root_session(region).client(
        "ec2",
        endpoint_url=endpoint_url,
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
    )


def remember_tokens() -> None:
    """Let moto answer a fleet's client token that it knows with the first answer.

    EC2 does so (API reference, "Ensuring idempotency"), and moto does not: a request that
    reaches it after its sender gave it up would launch a second time.
    """
    from moto.core.responses import ActionResult
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.responses.fleets import Fleets

    create, one_at_a_time = Fleets.create_fleet, threading.Lock()

    def create_fleet(self: Any) -> ActionResult:
        token, asked = self._get_param("ClientToken"), dict(self.params)
        if not token:
            return create(self)
        with one_at_a_time:
            # Kept on the fleets themselves: they go with the emulator's memory.
            for fleet in self.ec2_backend.fleets.values():
                first = getattr(fleet, "first", None)
                if first is None or first[0] != token:
                    continue
                if first[1] != asked:
                    raise EC2ClientError(
                        "IdempotentParameterMismatch", "The token was used with other arguments."
                    )
                return ActionResult(first[2])
            made = create(self)
            answer: Any = made.result
            self.ec2_backend.fleets[answer["FleetId"]].first = (token, asked, answer)
            return made

    Fleets.create_fleet = create_fleet  # type: ignore[method-assign]


def main(port: str) -> None:
    """Serve until a signal comes; only what goes wrong is logged, not every call."""
    from moto.server import main as serve  # the supervisor need not load moto

    remember_tokens()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    serve(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    main(sys.argv[1])
