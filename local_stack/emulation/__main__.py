"""The AWS emulator as one ASGI application that a stock `chalice deploy` can deploy to.

Runs under `.venv-emulator`'s Python, in which nothing of this project's is installed:

    .venv-emulator/bin/python -m local_stack.emulation --port 4566 --folder .local

What ministack lacks stands before it, a file a subject: `gateway`, `encrypted`, `objects`.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from local_stack.emulation.encrypted import Encrypted
from local_stack.emulation.gateway import ChaliceGateway
from local_stack.emulation.guardian import guard_process_group
from local_stack.emulation.objects import GivingBack, ShelvedObjects
from local_stack.emulation.permissions import FILE_NAME, UsedPermissions

_GRACEFUL_SECONDS = 3.0


@contextlib.asynccontextmanager
async def _ends_on_signal() -> AsyncIterator[Callable[[], Awaitable[None]]]:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    async def wait() -> None:
        await ended.wait()

    yield wait


def ask_for_no_batch_permissions(iam_actions: Any) -> None:
    """Have a batch call need the permission of the single call, as SQS does.

    `ministack` asks for `sqs:SendMessageBatch`, an action that does not exist (SQS
    developer guide, "Amazon SQS API permissions").
    """
    stock = iam_actions.extract_iam_action

    def extract(*arguments: Any, **named: Any) -> str | None:
        action: str | None = stock(*arguments, **named)
        if action is not None and action.startswith("sqs:"):
            return action.removesuffix("Batch")
        return action

    iam_actions.extract_iam_action = extract


async def serve(port: int) -> None:
    """Serve the emulator on 127.0.0.1:`port` until SIGTERM."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config
    from ministack.app import app as ministack_app
    from ministack.core import hypercorn_compat, iam_actions, iam_evaluator
    from ministack.services import s3

    hypercorn_compat.install()
    ask_for_no_batch_permissions(iam_actions)
    UsedPermissions(Path(FILE_NAME)).listen(iam_evaluator)
    shelved = ShelvedObjects(s3._buckets._data)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = _GRACEFUL_SECONDS
    config.errorlog = "-"
    async with _ends_on_signal() as ended:
        application: Any = GivingBack(Encrypted(ChaliceGateway(ministack_app)), shelved)
        await hypercorn_serve(application, config, shutdown_trigger=ended)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="AWS emulator, ready for chalice deploy")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", required=True, help="for what ministack writes")
    chosen = parser.parse_args(arguments)
    guard_process_group()
    # Each warm Lambda and each client holds a few files.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Only now: before it, the project was found in the folder that this was started in.
    os.chdir(chosen.folder)
    asyncio.run(serve(chosen.port))


if __name__ == "__main__":
    main(sys.argv[1:])
